"""What a measurement found: the record of a simulation, with times that were measured and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hwsim.errors import counted
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.measure.machine import Machine
from hwsim.measure.timing import Collected, Series
from hwsim.results.record import SCHEMA, Row
from hwsim.units import PJ_PER_J, pj_to_j

if TYPE_CHECKING:
    import pandas as pd

FIDELITY = "measured"

HALVES = ("seconds_first_half", "seconds_second_half")
"""Medians over the first half of the runs, and over the second."""

SPLIT = "a measurement does not split a layer's cycles: compute_cycles are its seconds times the clock, the others 0"


@dataclass(frozen=True)
class Measurement:
    """A network as it ran on `machine`, layer by layer, by a library on "cpu" or "cuda".

    `chip` is "cpu:<fingerprint>" or the name of the GPU, `clock_hz` its clock. `energy_j` is that of one run of the
    whole, 0 where no counter shows it.
    """

    network: Network
    machine: Machine
    chip: str
    device: str
    backend: str
    fmt: NumberFormat
    collected: Collected
    clock_hz: int
    threads: int = 0
    seed: int = 0
    cold: bool = False
    energy_j: float = 0.0
    fused: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> Series:
        """Seconds of the whole network, without timers of layers."""
        return self.collected.whole

    @cached_property
    def layers(self) -> dict[str, Series]:
        """Seconds of each layer in order."""
        return {layer.name: self.collected.layer(layer.name) for layer in self.network.layers}

    @cached_property
    def rows(self) -> list[Row]:
        """The columns of every layer, those of a simulation first."""
        return [self._row(layer) for layer in self.network.layers]

    def _row(self, layer: Layer) -> Row:
        series, into = self.layers[layer.name], (self.fused or {}).get(layer.name, "")
        cycles = round(series.median_s * self.clock_hz)
        return {
            "network": self.network.name,
            "layer": layer.name,
            "kind": str(layer.kind),
            "chip": self.chip,
            "dataflow": self.backend,
            "format": self.fmt.name,
            "batch": self.network.batch,
            "weight_density": layer.weight_density,
            "input_density": layer.input_density,
            "macs": layer.macs,
            "fill_cycles": 0,
            "compute_cycles": cycles,
            "stall_cycles": 0,
            "drain_cycles": 0,
            "total_cycles": cycles,
            "seconds": series.median_s,
            "utilisation": None,
            "energy_pj": self._share_j(series) * PJ_PER_J,
            "seconds_p10": series.p10_s,
            "seconds_p90": series.p90_s,
            "repeats": len(series.seconds),
            "spread_fraction": series.spread,
            "noisy": series.noisy,
            "fused_into": into,
            **dict(zip(HALVES, series.halves_s, strict=True)),
            "network_seconds": self.whole.median_s,
        }

    def _share_j(self, series: Series) -> float:
        """Return the energy of a layer [J]: a run's, by its share of the time of all layers."""
        return self.energy_j * series.median_s / self._layers_s if self._layers_s else 0.0

    @cached_property
    def _layers_s(self) -> float:
        return sum(series.median_s for series in self.layers.values())

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The layers as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @cached_property
    def total(self) -> Row:
        """Sums over the layers; throughput, power and `network_seconds` are of the whole, timed without its layers."""
        whole, energy_pj, batch = self.whole, self.energy_j * PJ_PER_J, self.network.batch
        return {
            "macs": self.network.macs,
            "total_cycles": sum(row["total_cycles"] for row in self.rows),
            "seconds": self._layers_s,
            "energy_pj": energy_pj,
            "average_power_w": pj_to_j(energy_pj) / whole.median_s if whole.median_s else 0.0,
            "inferences_per_s": batch / whole.median_s if whole.median_s else 0.0,
            "inferences_per_j": batch / self.energy_j if self.energy_j else 0.0,
            "parameters": self.network.parameters,
            "utilisation": None,
            "network_seconds": whole.median_s,
            "network_seconds_p10": whole.p10_s,
            "network_seconds_p90": whole.p90_s,
            "repeats": len(whole.seconds),
            "spread_fraction": whole.spread,
            "drift_fraction": whole.drift,
            "noisy": whole.noisy,
            "noisy_layers": sum(1 for series in self.layers.values() if series.noisy),
            "clock_hz": self.clock_hz,
        }

    @cached_property
    def sources(self) -> list[Row]:
        """Where the numbers come from: the network's source, and this machine."""
        network = [{"what": f"network {self.network.name}", "source": self.network.source}]
        libraries = ", ".join(f"{name} {version}" for name, version in self.machine.libraries.items())
        runs = counted(len(self.whole.seconds), "run")
        said = f"{runs} by {self.backend} on {self.machine.model}, {self.machine.system}"
        here = {"what": f"{self.chip} seconds", "source": f"measured here: {said}; {libraries}"}
        return [*(network if self.network.source else []), here]

    @property
    def inputs(self) -> Row:
        """What ran, on which machine, and how."""
        return {
            "network": self.network.spec or self.network.name,
            "chip": self.device,
            "parameters": {"backend": self.backend, "threads": self.threads, "cold": self.cold},
            "dataflow": self.backend,
            "format": self.fmt.name,
            "fidelity": FIDELITY,
            "seed": self.seed,
            "machine": self.machine.as_dict(),
        }

    def as_dict(self) -> Row:
        """Return the measurement as `--json` prints it."""
        from hwsim import __version__

        return {
            "schema": SCHEMA,
            "hwsim": __version__,
            "inputs": self.inputs,
            "total": self.total,
            "layers": self.rows,
            "sources": self.sources,
            "notes": list(self.notes),
            "not_simulated": self.network.unsupported,
        }

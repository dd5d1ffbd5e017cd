"""WHAT came out: cycles, action counts and energy of a layer, and of a network of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.units import BITS_PER_BYTE, bits_to_bytes, cycles_to_s, pj_to_j

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hwsim.mapping import Mapping as LayerMapping

Action = tuple[str, str, str]
"""(component, action, operand), such as ("dram", "read", "weight")."""

ActionCounts = Mapping[Action, int]
"""How often each action happens, in words of the operand."""

Row = dict[str, Any]

SCHEMA = 1


class Timing(NamedTuple):
    """Cycles of a layer: stationary operands loading, streams entering, waiting, the last results leaving."""

    fill_cycles: int = 0
    compute_cycles: int = 0
    stall_cycles: int = 0
    drain_cycles: int = 0

    @property
    def total_cycles(self) -> int:
        """All cycles of the layer."""
        return self.fill_cycles + self.compute_cycles + self.stall_cycles + self.drain_cycles


class Outcome(NamedTuple):
    """What an engine finds for one layer; `extras` are columns of its own."""

    timing: Timing
    counts: ActionCounts
    extras: Mapping[str, Any] = {}


class Execution(NamedTuple):
    """What an engine finds for a network: an outcome per layer, in order, and columns of the total of its own.

    `notes` are sentences that a reader of the result must know.
    """

    outcomes: Iterable[Outcome]
    extras: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerResult:
    """One layer of a network run on `batch` inputs. `mapping` is None for layers that do not run on the array."""

    network: str
    batch: int
    layer: Layer
    chip: Accelerator
    dataflow: str
    fmt: NumberFormat
    timing: Timing
    counts: ActionCounts
    energy_pj: Mapping[str, float]
    extras: Mapping[str, Any]
    mapping: LayerMapping | None = None

    @property
    def total_energy_pj(self) -> float:
        """Energy of all components [pJ]."""
        return sum(self.energy_pj.values())

    @property
    def macs_done(self) -> int:
        """MACs that take their time: not those left out because an operand is zero, or by an algorithm of fewer."""
        return sum(self.counts.get(("mac", action, "output"), 0) for action in (self.fmt.name, "gated"))

    @property
    def utilisation(self) -> float:
        """MACs done over MACs the array could do in the layer's cycles; 0 for layers that run elsewhere."""
        possible = self.timing.total_cycles * self.chip.peak_macs_per_cycle(self.fmt)
        return self.macs_done / possible if possible else 0.0

    def moved_bytes(self, level: str, action: str) -> int:
        """Return the bytes of all operands that `action` ("read" or "write") moves at memory `level`."""
        chip, fmt = self.chip, self.fmt
        return bits_to_bytes(
            sum(
                words * chip.word_bits(level, operand, fmt)
                for (component, what, operand), words in self.counts.items()
                if component == level and what == action
            )
        )

    def row(self) -> Row:
        """Return the layer's columns; units are in the names."""
        layer, timing = self.layer, self.timing
        levels = [self.chip.off_chip.name, *(level.name for level in self.chip.levels[:-1])]
        return {
            "network": self.network,
            "layer": layer.name,
            "kind": str(layer.kind),
            "chip": self.chip.label or self.chip.name,
            "dataflow": self.dataflow,
            "format": self.fmt.name,
            "batch": self.batch,
            "weight_density": layer.weight_density,
            "input_density": layer.input_density,
            "macs": layer.macs,
            **timing._asdict(),
            "total_cycles": timing.total_cycles,
            "seconds": cycles_to_s(timing.total_cycles, self.chip.clock_hz),
            "utilisation": self.utilisation,
            **{
                f"{level}_{action}_bytes": self.moved_bytes(level, action)
                for level in levels
                for action in ("read", "write")
            },
            **{f"energy_{component}_pj": value for component, value in self.energy_pj.items()},
            "energy_pj": self.total_energy_pj,
            **self.extras,
            **self._roofs(),
        }

    def _roofs(self) -> Row:
        """Return what no layer exceeds here; the rate is None without limit, and where all memory is on the chip."""
        chip, edge = self.chip, self.chip.off_chip
        rate = edge.read_bits_per_cycle if edge.capacity_bits is None else None
        return {
            "peak_macs_per_s": chip.peak_macs_per_cycle(self.fmt) * chip.clock_hz,
            "off_chip_level": edge.name if edge.capacity_bits is None else "none",
            "off_chip_bytes_per_s": None if rate is None else float(rate * chip.clock_hz / BITS_PER_BYTE),
        }


@dataclass(frozen=True)
class NetworkResult:
    """A network on one chip, layer by layer. Also what `hwsim run` prints and writes.

    `fmt` is the format of all layers but those of `formats`, which is what was asked for where that is not one format.
    """

    network: Network
    chip: Accelerator
    dataflow: str
    fmt: NumberFormat
    fidelity: str
    layers: tuple[LayerResult, ...]
    notes: tuple[str, ...] = ()
    seed: int = 0
    extras: Mapping[str, Any] = field(default_factory=dict)
    formats: str = ""

    @cached_property
    def rows(self) -> list[Row]:
        """The columns of every layer."""
        return [layer.row() for layer in self.layers]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The layers as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @cached_property
    def total(self) -> Row:
        """Sums over the layers, power and throughput, and what the engine finds for the whole network."""
        cycles = sum(layer.timing.total_cycles for layer in self.layers)
        energy_pj = sum(layer.total_energy_pj for layer in self.layers)
        off_chip_pj = sum(layer.energy_pj.get(self.chip.off_chip.name, 0.0) for layer in self.layers)
        seconds, joules, batch = cycles_to_s(cycles, self.chip.clock_hz), pj_to_j(energy_pj), self.network.batch
        return {
            "macs": sum(layer.layer.macs for layer in self.layers),
            "total_cycles": cycles,
            "seconds": seconds,
            "energy_pj": energy_pj,
            "average_power_w": joules / seconds if seconds else 0.0,
            "inferences_per_s": batch / seconds if seconds else 0.0,
            "inferences_per_j": batch / joules if joules else 0.0,
            "parameters": self.network.parameters,
            "utilisation": sum(layer.macs_done for layer in self.layers) / max(1, self._possible_macs()),
            "chip_power_w": pj_to_j(energy_pj - off_chip_pj) / seconds if seconds else 0.0,
            **self.extras,
        }

    def _possible_macs(self) -> float:
        """Return the MACs that the array could do in the cycles of every layer, each in its format."""
        cycles: Counter[str] = Counter()
        for layer in self.layers:
            cycles[layer.fmt.name] += layer.timing.total_cycles
        peaks = {layer.fmt.name: self.chip.peak_macs_per_cycle(layer.fmt) for layer in self.layers}
        return sum(cycles[name] * peak for name, peak in peaks.items())

    @cached_property
    def sources(self) -> list[Row]:
        """Where every number comes from: network, parameters of the chip, energy of each action used, area."""
        used = {(component, action) for layer in self.layers for component, action, _ in layer.counts}
        network = (
            [{"what": f"network {self.network.name}", "source": self.network.source}] if self.network.source else []
        )
        chip = [
            {"what": f"{self.chip.name} {what}", "source": str(source)} for what, source in self.chip.sources.items()
        ]
        energy = [
            {
                "what": f"energy of {entry.component} {entry.action}",
                "source": str(entry.source),
                "energy_pj": entry.energy_pj,
                "bits": entry.bits,
                "node_nm": entry.node_nm,
            }
            for entry in self.chip.energy.entries
            if (entry.component, entry.action) in used
        ]
        area = [
            {"what": f"area of {entry.component}", "source": str(entry.source), "area_mm2": entry.area_mm2}
            for entry in self.chip.area(self.fmt)
        ]
        return [*network, *chip, *energy, *area]

    @property
    def inputs(self) -> Row:
        """What ran: the network, the chip with all its parameters, and how."""
        return {
            "network": self.network.spec or self.network.name,
            "chip": self.chip.name,
            "parameters": dict(self.chip.parameters),
            "dataflow": self.dataflow,
            "format": self.formats or self.fmt.name,
            "fidelity": self.fidelity,
            **({"seed": self.seed} if self.fidelity == "stepped" else {}),
        }

    def as_dict(self) -> Row:
        """Return the result as `--json` prints it."""
        from hwsim import __version__

        return {
            "schema": SCHEMA,
            "hwsim": __version__,
            "inputs": self.inputs,
            "total": finite(self.total),
            "layers": [finite(row) for row in self.rows],
            "sources": self.sources,
            "notes": list(self.notes),
            "not_simulated": self.network.unsupported,
        }

    def plot(self, report: str = "layers") -> Figure:
        """Return the figure that `report` draws of the layers."""
        from hwsim.results import store

        return store.figure(report, self.frame)


def finite(row: Row) -> Row:
    """Return `row` as JSON can hold it, which has no infinity: "Infinity" and "-Infinity", as Protocol Buffers say."""
    infinite = {inf: "Infinity", -inf: "-Infinity"}
    return {key: infinite.get(value, value) if isinstance(value, float) else value for key, value in row.items()}


def energy_by_component(
    counts: ActionCounts, cost_pj: Mapping[Action, float], components: tuple[str, ...]
) -> dict[str, float]:
    """Return [pJ] by component: counts times the cost of one word."""
    energy = dict.fromkeys(components, 0.0)
    for action, count in counts.items():
        energy[action[0]] += count * cost_pj[action]
    return energy


class WordCosts(dict[Action, float]):
    """[pJ] per word of an action, looked up in a chip's table once per (chip, format)."""

    def __init__(self, chip: Accelerator, fmt: NumberFormat) -> None:
        super().__init__()
        self.chip, self.fmt = chip, fmt

    def __missing__(self, action: Action) -> float:
        component, what, operand = action
        entry = self.chip.energy.by_action[component, what]
        self[action] = entry.word_pj(self.chip.word_bits(component, operand, self.fmt))
        return self[action]

"""The whole flow on one screen: network -> mapping -> timing and counts -> energy -> result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.engine import vector
from hwsim.errors import UsageError, near_match
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.mapping.placed import Placed
from hwsim.results.record import LayerResult, NetworkResult, WordCosts, energy_by_component

FIDELITIES = ("closed", "stepped")


def simulate(
    network: str | Network,
    on: str | Accelerator = "systolic",
    *,
    dataflow: str | None = None,
    format: str | NumberFormat | None = None,  # noqa: A002 - the option's name everywhere else
    fidelity: str = "closed",
    seed: int = 0,
    inputs: str | None = None,
    on_layer: Callable[[Layer], None] | None = None,
) -> NetworkResult:
    """Return what `network` costs on chip `on`, layer by layer.

    Both are records or specs such as "resnet:depth=50" and "systolic:rows=128". Dataflow and format default to the
    chip's first, the format to the network's own where the chip has it. `fidelity` "stepped" moves real values, drawn
    from `seed`, and finds the same cycles and counts as "closed". With `inputs`, an .npy file or "random", the network
    runs on them first and its densities are those measured. `on_layer` is called as each layer is done. Raises
    `UsageError` for unknown names, `InputError` for what cannot run.
    """
    net, chip = with_densities(catalog.network(network), inputs, seed), catalog.chip(on)
    fmt, flow = number_format(net, chip, format), dataflow or chip.dataflow
    place, engine = catalog.dataflow(flow), catalog.engine(chip.engine)
    chip.require_format(fmt)
    if catalog.is_path(flow):
        flow = Path(flow).stem
    else:
        chip.require_dataflow(flow)
    if fidelity not in FIDELITIES:
        raise UsageError(f"no fidelity named '{fidelity}'{near_match(fidelity, FIDELITIES)}")
    fused = vector.fused_producers(net) if chip.fuses else {}
    costs, components = WordCosts(chip, fmt), chip.energy.components
    placed = [
        Placed(layer, place(layer, chip, fmt) if layer.is_mac else None, fused.get(layer.name, ""))
        for layer in net.layers
    ]
    execution = engine.execute(net, placed, chip, fmt, fidelity, seed)
    results = []
    for (layer, mapping, _), outcome in zip(placed, execution.outcomes, strict=True):
        energy = energy_by_component(outcome.counts, costs, components)
        results.append(
            LayerResult(net.name, net.batch, layer, chip, flow, fmt, *outcome[:2], energy, outcome.extras, mapping)
        )
        if on_layer is not None:
            on_layer(layer)
    said = (*notes(net, chip, fmt, fused), *execution.notes)
    return NetworkResult(net, chip, flow, fmt, fidelity, tuple(results), said, seed, execution.extras)


def with_densities(network: Network, inputs: str | None, seed: int) -> Network:
    """Return `network` with the densities of what its products read measured on `inputs`, as it is without them."""
    if inputs is None:
        return network
    from hwsim.functional.inputs import measured

    return measured(network, inputs, seed)


def number_format(network: Network, chip: Accelerator, asked: str | NumberFormat | None) -> NumberFormat:
    """Return the format asked for, else the one the network is published in if the chip has it, else the chip's own."""
    published = network.format if network.format in chip.formats else ""
    return catalog.number_format(asked or published or chip.formats[0])


def notes(network: Network, chip: Accelerator, fmt: NumberFormat, fused: dict[str, str]) -> tuple[str, ...]:
    """Return what a reader must know: the importer's notes, fused layers, zeros, operators that are not simulated."""
    said = list(network.notes)
    if network.format not in ("", fmt.name):
        said.append(f"the network is published in {network.format}; this run is in {fmt.name}")
    left = [layer for layer in network.layers if not layer.is_mac and layer.kind not in vector.UNCOMPUTED_KINDS]
    if left and not chip.vector_lanes:
        said.append(
            f"chip '{chip.name}' leaves {len(left)} operators that are no products to its host, at no cost here"
        )
    elif fused:
        said.append(f"{len(fused)} operators on single elements run before results leave the chip, in no time")
    if not chip.skips_zeros and any(min(one.weight_density, one.input_density) < 1 for one in network.layers):
        said.append(f"chip '{chip.name}' computes zeros like any other value: densities below 1 save nothing")
    if network.unsupported:
        listed = ", ".join(f"{name} ({count}x)" for name, count in sorted(network.unsupported.items()))
        said.append(f"not simulated, and counted as nothing: {listed}")
    return tuple(said)

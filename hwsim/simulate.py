"""The whole flow on one screen: network -> mapping -> timing and counts -> energy -> result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.engine import vector
from hwsim.errors import InputError, UsageError, counted, near_match
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.mapping.placed import Placed
from hwsim.precision import CONVERT, Asked, Precision, precision, with_conversions
from hwsim.results.record import LayerResult, NetworkResult, WordCosts, energy_by_component

if TYPE_CHECKING:
    from hwsim.engine import Engine
    from hwsim.functional.agreement import Agreement

FIDELITIES = ("closed", "stepped")


class Functional(NamedTuple):
    """What to run a network's values on: `source` and `calibrate_on` are .npy files or "random".

    Scales of activations are by their "max", a "percentile" or least "mse", those of weights for each output "channel"
    or "tensor". Without a source values are random, without `calibrate_on` scales are found on the source itself.
    """

    source: str | None = None
    calibrate_on: str | None = None
    scales: str = "max"
    weight_scales: str = "channel"


def simulate(
    network: str | Network,
    on: str | Accelerator = "systolic",
    *,
    dataflow: str | None = None,
    format: Asked = None,  # noqa: A002 - the option's name everywhere else
    convert: bool = False,
    fidelity: str = "closed",
    seed: int = 0,
    inputs: str | None = None,
    functional: Functional | bool = False,
    on_layer: Callable[[Layer], None] | None = None,
) -> NetworkResult:
    """Return what `network` costs on chip `on`, layer by layer.

    Both are records or specs such as "resnet:depth=50" and "systolic:rows=128". Dataflow and format default to the
    chip's first, the format to the network's own where the chip has it; "int8,conv1=fp16" gives layers formats of
    their own, and with `convert` those that the chip lacks become the nearest it has. `fidelity` "stepped" moves real
    values, drawn from `seed`, and finds the same cycles and counts as "closed". With `inputs`, an .npy file or
    "random", the network runs on them first and its densities are those measured. `functional` runs its values in the
    formats, on `inputs` where that is True, and says how far they are from fp32 (`hwsim.functional.agreement`).
    `on_layer` is called as each layer is done. Raises `UsageError` for unknown names, `InputError` for what cannot run.
    """
    net = given = with_densities(catalog.network(network), inputs, seed, bool(functional))
    chip = catalog.chip(on)
    formats, flow = precision(net, chip, format, convert), dataflow or chip.dataflow
    place, engine = catalog.dataflow(flow), catalog.engine(chip.engine)
    require_mix(chip, engine, formats)
    if catalog.is_path(flow):
        flow = Path(flow).stem
    else:
        chip.require_dataflow(flow)
    if fidelity not in FIDELITIES:
        raise UsageError(f"no fidelity named '{fidelity}'{near_match(fidelity, FIDELITIES)}")
    converted = with_conversions(net, formats)
    net = converted.network
    fused = vector.fused_producers(net) if chip.fuses else {}
    placed = [
        Placed(layer, place(layer, chip, fmt) if layer.is_mac else None, fmt, fused.get(layer.name, ""))
        for layer, fmt in zip(net.layers, converted.formats(fused), strict=True)
    ]
    costs = {one.fmt: WordCosts(chip, one.fmt) for one in placed}
    execution = engine.execute(net, placed, chip, formats.fmt, fidelity, seed)
    results = []
    for (layer, mapping, fmt, _), outcome in zip(placed, execution.outcomes, strict=True):
        energy = energy_by_component(outcome.counts, costs[fmt], chip.energy.components)
        results.append(
            LayerResult(net.name, net.batch, layer, chip, flow, fmt, *outcome[:2], energy, outcome.extras, mapping)
        )
        if on_layer is not None:
            on_layer(layer)
    said = (*notes(net, chip, formats, fused), *execution.notes)
    result = NetworkResult(
        net, chip, flow, formats.fmt, fidelity, tuple(results), said, seed, execution.extras, formats.spelled
    )
    if not functional:
        return result
    asked = Functional(inputs) if isinstance(functional, bool) else functional
    return with_values(result, _agreement(given, formats, _unstored(net, fused), asked, seed))


def with_densities(network: Network, inputs: str | None, seed: int, several: bool = False) -> Network:
    """Return `network` with the densities of what its products read measured on `inputs`, as it is without them.

    With `several` a file may hold the inputs of more than one batch.
    """
    if inputs is None:
        return network
    from hwsim.functional.inputs import measured

    return measured(network, inputs, seed, several)


def with_values(result: NetworkResult, found: Agreement) -> NetworkResult:
    """Return `result` with columns of its values; conversions, which the network itself does not have, get none."""
    layers = tuple(
        replace(layer, extras={**layer.extras, **found.layers.get(layer.layer.name, {})}) for layer in result.layers
    )
    extras, notes = {**result.extras, **found.total}, (*result.notes, *found.notes)
    return replace(result, layers=layers, extras=extras, notes=notes)


def _unstored(network: Network, fused: dict[str, str]) -> set[str]:
    """Return the results that only layers fused behind them read, conversions among these."""
    return {layer.inputs[0] for layer in network.layers if layer.name in fused}


def _agreement(network: Network, formats: Precision, unstored: set[str], asked: Functional, seed: int) -> Agreement:
    from hwsim.functional.agreement import agreement
    from hwsim.functional.calibration import Choices

    choices = Choices(asked.scales, asked.weight_scales)
    return agreement(network, formats.of, unstored, asked.source, asked.calibrate_on, choices, seed)


def require_mix(chip: Accelerator, engine: Engine, formats: Precision) -> None:
    """Raise `InputError` where a layer is in a format of its own and the engine runs networks in one."""
    if formats.own and not getattr(engine, "MIXES_FORMATS", False):
        layer, fmt = next(iter(formats.own.items()))
        raise InputError(
            f"chip '{chip.name}' runs a network in one format: layer '{layer}' cannot be in {fmt.name} beside "
            f"{formats.fmt.name}"
        )


def notes(network: Network, chip: Accelerator, formats: Precision, fused: dict[str, str]) -> tuple[str, ...]:
    """Return what a reader must know: formats, fused layers, zeros, operators that are not simulated."""
    said = [*network.notes, *formats.notes]
    if network.format not in ("", formats.spelled):
        said.append(f"the network is published in {network.format}; this run is in {formats.spelled}")
    conversions = [layer.name for layer in network.layers if layer.function == CONVERT]
    if conversions:
        alone = sum(name not in fused for name in conversions)
        said.append(
            f"{counted(len(conversions), 'tensor is', 'tensors are')} converted between formats, {alone} of them read "
            "in the one width and written in the other"
        )
    left = [layer for layer in network.layers if not layer.is_mac and layer.kind not in vector.UNCOMPUTED_KINDS]
    if left and not chip.vector_lanes:
        host = counted(len(left), "operator that is no product", "operators that are no products")
        said.append(f"chip '{chip.name}' leaves {host} to its host, at no cost here")
    elif fused:
        before = counted(len(fused), "operator on single elements runs", "operators on single elements run")
        said.append(f"{before} before results leave the chip, in no time")
    if not chip.skips_zeros and any(min(one.weight_density, one.input_density) < 1 for one in network.layers):
        said.append(f"chip '{chip.name}' computes zeros like any other value: densities below 1 save nothing")
    if network.unsupported:
        listed = ", ".join(f"{name} ({count}x)" for name, count in sorted(network.unsupported.items()))
        said.append(f"not simulated, and counted as nothing: {listed}")
    return tuple(said)

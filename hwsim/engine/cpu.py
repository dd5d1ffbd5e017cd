"""A CPU: operators one after the other, each on all threads; closed form."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import cpu_algorithms
from hwsim.engine.cpu_setting import Setting, read_words, setting_of
from hwsim.formats import NumberFormat
from hwsim.functional.algorithms import ALGORITHMS
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.mapping.cpu.around import NOTHING as NOTHING_SPECIAL
from hwsim.mapping.cpu.around import Around, added_in_place, surroundings
from hwsim.mapping.cpu.blocks import BlockMapping, Tally, is_vector_product, place_blocks
from hwsim.mapping.cpu.constants import Constants
from hwsim.mapping.cpu.convolution import AUTO, DIRECT
from hwsim.mapping.cpu.machine import Curve, Machine
from hwsim.mapping.cpu.times import compute_seconds, seconds
from hwsim.mapping.cpu.work import Work, threads_of
from hwsim.results.record import Action, Execution, Outcome, Timing
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hwsim.engine.cpu_algorithms import Transformed
    from hwsim.engine.trace import Span
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import LayerResult, NetworkResult

READS_DENSITIES: frozenset[str] = frozenset()

FREE_LAYOUTS = frozenset({"reshape", "flatten", "squeeze", "unsqueeze", "identity", "dropout", "cast"})
"""Changes of layout that move nothing, but are called."""

IMAGE_AXES = 4

RUNNING: Action = ("running", "cycle", "")

NOTHING: Mapping[str, Any] = {"op_class": "", "fused_into": ""}


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome. Weights come from the cache, or memory, that holds all that a run touches."""
    setting, around = setting_of(network, placed, chip, fmt), surroundings(network)
    in_place = chip.options["adds_in_place"] and fmt.kind != "int"
    added = added_in_place(network) if in_place else {}

    def outcome(one: Placed) -> Outcome:
        layer = one.layer
        near = around.get(layer.name, NOTHING_SPECIAL)
        into = one.fused_into or added.get(layer.name, "") or near.into
        if layer.kind is Kind.UNSUPPORTED:
            return Outcome(Timing(), {}, NOTHING)
        if into:
            counts = {("vector", fmt.name, "output"): layer.operations}
            return Outcome(Timing(), counts, {"op_class": "", "fused_into": into})
        if one.mapping is None:
            return streamed(layer, setting, near)
        return convolution(one, setting, fidelity, seed) or _run(one.mapping, setting, fidelity, seed)

    outcomes = [outcome(one) for one in placed]
    call_s = chip.options["call_s"]
    total_s = sum(one.timing.total_cycles for one in outcomes) / chip.clock_hz
    formats = {one.layer.name: fmt for one in placed}
    fallen = cpu_algorithms.notes(chip.options["convolution"], (one.layer for one in placed), formats)
    notes = (*chip.options["notes"], *fallen)
    return Execution(outcomes, {"call_seconds": call_s, "latency_seconds": total_s + call_s}, notes)


def convolution(one: Placed, setting: Setting, fidelity: str, seed: int) -> Outcome | None:
    """Return the outcome of a convolution by the chip's algorithm, if it has one: a product and its transforms.

    The library's own, where that algorithm does not compute the layer, has the columns of the direct one.
    """
    layer, fmt, wanted = one.layer, setting.fmt, setting.chip.options["convolution"]
    if layer.kind is not Kind.CONV or wanted == AUTO:
        return None
    algorithm = cpu_algorithms.algorithm_of(layer, wanted, fmt) or ALGORITHMS[DIRECT]
    made = cpu_algorithms.transformed(layer, algorithm.name)
    mapping = one.mapping if made is None else place_blocks(made.product, setting.chip, fmt)
    outcome = _run(mapping, setting, fidelity, seed)
    if made is not None:
        outcome = _with_transforms(layer, made, outcome, setting)
    columns = cpu_algorithms.columns(layer, algorithm, outcome.counts["mac", fmt.name, "output"], fmt)
    return outcome._replace(extras={**outcome.extras, **columns})


def _with_transforms(layer: Layer, made: Transformed, outcome: Outcome, setting: Setting) -> Outcome:
    constants = setting.case("gemm").constants
    moved = cpu_algorithms.transform_counts(layer, made, setting.fmt, setting.machine.cold)
    taken_s = cpu_algorithms.transform_seconds(
        made, setting.fmt, setting.machine, setting.curve, constants.overlap_exponent
    )
    cycles = max(setting.cycles(taken_s), setting.edge_cycles(moved))
    counts = Counter(outcome.counts) + Counter(moved)
    counts[RUNNING] += cycles
    timing = outcome.timing._replace(stall_cycles=outcome.timing.stall_cycles + cycles)
    return Outcome(timing, dict(counts), outcome.extras)


def _run(mapping: Any, setting: Setting, fidelity: str, seed: int) -> Outcome:
    if fidelity == "stepped":
        from hwsim.engine import cpu_stepped

        return product(mapping, setting, cpu_stepped.run(mapping, setting.fmt, seed))
    return product(mapping, setting, mapping.tally)


def product(mapping: BlockMapping, setting: Setting, tally: Tally) -> Outcome:
    """Return cycles and counts of a product whose blocks do what `tally` says: calls, blocks, and what they wait."""
    layer, chip, fmt = mapping.layer, setting.chip, setting.fmt
    work = setting.work(layer)
    machine, constants = _on_its_threads(mapping, setting, setting.case(work.op_class).constants)
    total = setting.cycles(_seconds(work, constants, machine, setting))
    fill = layer.steps * setting.cycles(constants.call_s + constants.fork_s * (machine.threads - 1))
    compute = layer.steps * tally.cycles
    counts = product_counts(mapping, setting, tally)
    peak = ceil_div(layer.macs, int(chip.peak_macs_per_cycle(fmt)))
    counts[RUNNING] = max(total, fill + compute, peak, setting.edge_cycles(counts))
    timing = Timing(fill, compute, counts[RUNNING] - fill - compute, 0)
    return Outcome(timing, counts, {"op_class": work.op_class, "fused_into": ""})


def _on_its_threads(mapping: BlockMapping, setting: Setting, constants: Constants) -> tuple[Machine, Constants]:
    """Return the machine, and the constants, that a product is run with."""
    if not (setting.chip.options["vectors_on_one"] and is_vector_product(mapping.layer)):
        return setting.machine, constants
    # one core streams the matrix as fast as it can wait for lines; nothing is fitted
    return setting.machine._replace(threads=mapping.blocks.threads), Constants(call_s=constants.call_s)


def product_counts(mapping: BlockMapping, setting: Setting, tally: Tally) -> dict[Action, int]:
    """Return the words that a product moves: each once from where it lies, once per block from L2, per tile from L1."""
    layer = mapping.layer
    inputs, weights = distinct_words(layer)
    outputs, steps = layer.steps * layer.output_elements, layer.steps
    counts: dict[Action, int] = {
        ("mac", setting.fmt.name, "output"): layer.macs,
        ("l1", "read", "input"): steps * tally.l1_input,
        ("l1", "read", "weight"): steps * tally.l1_weight,
        ("l1", "write", "output"): outputs,
        ("l2", "read", "input"): steps * tally.l2_input,
        ("l2", "read", "weight"): steps * tally.l2_weight,
        ("l2", "write", "output"): outputs,
        ("l3", "read", "input"): inputs,
        ("l3", "read", "weight"): weights,
        ("l3", "write", "output"): outputs,
    }
    if setting.off_chip:
        counts["dram", "read", "weight"] = weights
    if setting.machine.cold:
        counts["dram", "read", "input"] = inputs
        counts["dram", "write", "output"] = outputs
    return counts


def distinct_words(layer: Layer) -> tuple[int, int]:
    """Return the distinct words of a product's inputs, of all steps, and of its weights; of two inputs both."""
    inputs = layer.steps * layer.input_elements_used if layer.kind is Kind.CONV else read_words(layer)
    return inputs, layer.weight_elements if len(layer.inputs) == 1 else 0


def streamed(layer: Layer, setting: Setting, around: Around) -> Outcome:
    """Return cycles and counts of an operator that is no product: no more in a cycle than there are lanes."""
    fmt, lanes = setting.fmt, setting.chip.vector_lanes
    work = setting.work(layer, around)
    stays = work.op_class == "layout" and _stays(layer, fmt)
    if stays:
        work = work._replace(input_bytes=0.0, output_bytes=0.0)
    constants = setting.case(work.op_class).constants
    counts = {} if stays else _moved(layer, setting)
    floor = layer.steps * ceil_div(layer.operations // layer.steps, lanes)
    taken = setting.cycles(_seconds(work, constants, setting.machine, setting))
    total = max(taken, setting.edge_cycles(counts), floor)
    compute = 0
    if work.op_class != "layout":
        of_one_s = compute_seconds(work, fmt.name, constants, setting.machine)
        compute = layer.steps * setting.cycles(of_one_s / threads_of(work, setting.machine.threads))
    compute = min(max(compute, floor), total)
    extras = {"op_class": work.op_class, "fused_into": ""}
    return Outcome(Timing(0, compute, total - compute, 0), {**counts, RUNNING: total}, extras)


def _moved(layer: Layer, setting: Setting) -> dict[Action, int]:
    """Return what an operator that is no product reads, does and writes."""
    read, written = read_words(layer), layer.steps * layer.output_elements
    counts: dict[Action, int] = {("l3", "read", "input"): read, ("l3", "write", "output"): written}
    if layer.operations:
        counts["vector", setting.fmt.name, "output"] = layer.operations
    if setting.machine.cold:
        counts["dram", "read", "input"], counts["dram", "write", "output"] = read, written
    return counts


def _stays(layer: Layer, fmt: NumberFormat) -> bool:
    """Return whether a change of layout leaves all elements in place; images of integers lie by channels last."""
    shape = layer.input_shapes[0]
    images = fmt.kind == "int" and len(shape) == IMAGE_AXES and prod(shape[2:]) > 1
    return layer.function in FREE_LAYOUTS and not images


def _seconds(work: Work, constants: Constants, machine: Machine, setting: Setting) -> float:
    curve = setting.curve if machine.threads == setting.machine.threads else Curve(machine)
    return seconds(work, setting.fmt.name, constants, machine, curve, setting.held_bytes, setting.away_s)


def spans(result: NetworkResult) -> Iterator[Iterator[Span]]:
    """Yield the timeline of every layer: the call, what the threads compute, and what they wait for."""
    return (_phases(layer) for layer in result.layers)


def _phases(layer: LayerResult) -> Iterator[Span]:
    from hwsim.engine.trace import Span

    computing = "operations"
    if isinstance(layer.mapping, BlockMapping):
        threads = layer.mapping.blocks.threads
        computing = f"blocks on {threads} thread{'s' if threads > 1 else ''}"
    start = 0
    for unit, name, cycles in zip(UNITS, ("call", computing, "memory", ""), layer.timing, strict=True):
        if cycles:
            yield Span(unit, name, start, cycles)
            start += cycles


UNITS = ("library", "cores", "cores", "cores")
"""Where the cycles of filling, computing, stalling and draining, of which there are none, are drawn."""

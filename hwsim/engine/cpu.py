"""A CPU: operators one after the other, each on all threads; closed form."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import cpu_algorithms
from hwsim.formats import NumberFormat
from hwsim.functional.algorithms import ALGORITHMS
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.mapping.cpu.around import NOTHING as NOTHING_SPECIAL
from hwsim.mapping.cpu.around import Around, surroundings
from hwsim.mapping.cpu.blocks import BlockMapping, Tally, place_blocks
from hwsim.mapping.cpu.constants import Case, Constants
from hwsim.mapping.cpu.convolution import AUTO, DIRECT
from hwsim.mapping.cpu.machine import Curve, Machine
from hwsim.mapping.cpu.times import compute_seconds, seconds
from hwsim.mapping.cpu.work import Work, work_of
from hwsim.results.record import Action, Execution, Outcome, Timing
from hwsim.units import BITS_PER_BYTE, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hwsim.engine.cpu_algorithms import Transformed
    from hwsim.engine.trace import Span
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import NetworkResult

FREE_LAYOUTS = frozenset({"reshape", "flatten", "squeeze", "unsqueeze", "identity", "dropout", "cast"})
"""Changes of layout that move nothing, but are called."""

IMAGE_AXES = 4

NOTHING: Mapping[str, Any] = {"op_class": "", "fused_into": ""}


class Setting(NamedTuple):
    """What every operator of a run shares: the machine, its memory, the library, and how long a run takes."""

    machine: Machine
    curve: Curve
    cases: Mapping[tuple[str, str], Case]
    fmt: NumberFormat
    chip: Accelerator
    held_bytes: float
    away_s: float
    off_chip: bool

    def cycles(self, seconds_: float) -> int:
        """Return whole cycles of a time."""
        return max(0, round(seconds_ * self.machine.clock_hz))


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome. Weights come from the cache, or memory, that holds all that a run touches."""
    setting, around = _setting(network, placed, chip, fmt), surroundings(network)
    added = _added(network, chip, fmt)

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
    constants = setting.cases["gemm", setting.fmt.name].constants
    moved = cpu_algorithms.transform_counts(layer, made, setting.fmt, setting.machine.cold)
    taken_s = cpu_algorithms.transform_seconds(
        made, setting.fmt, setting.machine, setting.curve, constants.overlap_exponent
    )
    cycles = max(setting.cycles(taken_s), _edge(moved, setting))
    counts = Counter(outcome.counts) + Counter(moved)
    counts["idle", "cycle", ""] += cycles
    timing = outcome.timing._replace(stall_cycles=outcome.timing.stall_cycles + cycles)
    return Outcome(timing, dict(counts), outcome.extras)


def _run(mapping: Any, setting: Setting, fidelity: str, seed: int) -> Outcome:
    if fidelity == "stepped":
        from hwsim.engine import cpu_stepped

        return product(mapping, setting, cpu_stepped.run(mapping, setting.fmt, seed))
    return product(mapping, setting, mapping.tally)


def product(mapping: Any, setting: Setting, tally: Tally) -> Outcome:
    """Return cycles and counts of a product whose blocks do what `tally` says: calls, blocks, and what they wait."""
    layer, chip, fmt = mapping.layer, setting.chip, setting.fmt
    work = _work(layer, setting)
    case = setting.cases[work.op_class, fmt.name]
    total = setting.cycles(_seconds(work, case, setting))
    call = case.constants.call_s + case.constants.fork_s * (setting.machine.threads - 1)
    fill = layer.steps * setting.cycles(call)
    compute = layer.steps * tally.cycles
    counts = product_counts(mapping, setting, tally)
    floor = max(total, fill + compute, ceil_div(layer.macs, int(chip.peak_macs_per_cycle(fmt))), _edge(counts, setting))
    counts["idle", "cycle", ""] = floor
    timing = Timing(fill, compute, floor - fill - compute, 0)
    return Outcome(timing, counts, {"op_class": work.op_class, "fused_into": ""})


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
    shapes = dict(zip(layer.inputs, layer.input_shapes, strict=True))
    inputs = layer.steps * (layer.input_elements_used if layer.kind is Kind.CONV else sum(map(prod, shapes.values())))
    return inputs, layer.weight_elements if len(layer.inputs) == 1 else 0


def streamed(layer: Layer, setting: Setting, around: Around) -> Outcome:
    """Return cycles and counts of an operator that is no product."""
    fmt = setting.fmt
    work = _work(layer, setting, around)
    if work.op_class == "layout" and setting.machine.cold:
        return Outcome(Timing(), {}, NOTHING)
    if work.op_class == "layout" and _stays(layer, fmt):
        work = work._replace(input_bytes=0.0, output_bytes=0.0)
    case = setting.cases[work.op_class, fmt.name]
    total = setting.cycles(_seconds(work, case, setting))
    shapes = dict(zip(layer.inputs, layer.input_shapes, strict=True)).values()
    read, written = layer.steps * sum(map(prod, shapes)), layer.steps * layer.output_elements
    counts: dict[Action, int] = {("l3", "read", "input"): read, ("l3", "write", "output"): written}
    if layer.operations:
        counts["vector", fmt.name, "output"] = layer.operations
    if setting.machine.cold:
        counts["dram", "read", "input"], counts["dram", "write", "output"] = read, written
    total = max(total, _edge(counts, setting))
    compute = 0 if work.op_class == "layout" else layer.steps * setting.cycles(
        compute_seconds(work, fmt.name, case.constants, setting.machine) / setting.machine.threads
    )  # fmt: skip
    compute = min(compute, total)
    counts["idle", "cycle", ""] = total
    return Outcome(Timing(0, compute, total - compute, 0), counts, {"op_class": work.op_class, "fused_into": ""})


def spans(result: NetworkResult) -> Iterator[Iterator[Span]]:
    """Yield the timeline of every layer."""
    from hwsim.engine import trace

    for layer in result.layers:
        yield trace.vector_spans(layer.timing)


def _seconds(work: Work, case: Case, setting: Setting) -> float:
    machine, curve, constants = setting.machine, setting.curve, case.constants
    if work.row == 1 and setting.chip.options["vectors_on_one"]:
        # one core streams the matrix as fast as it can wait for lines; nothing is fitted
        machine, constants = machine._replace(threads=1), Constants(call_s=constants.call_s)
        curve = Curve(machine)
    return seconds(work, setting.fmt.name, constants, machine, curve, setting.held_bytes, setting.away_s)


def _stays(layer: Layer, fmt: NumberFormat) -> bool:
    """Return whether a change of layout leaves all elements in place; images of integers lie by channels last."""
    shape = layer.input_shapes[0]
    images = fmt.kind == "int" and len(shape) == IMAGE_AXES and prod(shape[2:]) > 1
    return layer.function in FREE_LAYOUTS and not images


def _work(layer: Layer, setting: Setting, around: Around = NOTHING_SPECIAL) -> Work:
    fmt, machine = setting.fmt, setting.machine
    matrix = setting.chip.options["matrix"] and fmt.name in machine.matrix_macs_per_cycle
    return work_of(layer, fmt.name, fmt.bits, machine.lanes, around, matrix and layer.kind is Kind.MATMUL)


def _edge(counts: Mapping[Action, int], setting: Setting) -> int:
    """Return the cycles that the words counted off-chip take at the chip's edge."""
    rate = setting.chip.off_chip_rate
    if rate is None:
        return 0
    bits = sum(
        words * setting.fmt.operand_bits(operand)
        for (component, _, operand), words in counts.items()
        if component == "dram"
    )
    return ceil_div(bits * rate[1], rate[0])


def _setting(network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat) -> Setting:
    """Return what all operators share; a run takes about as long as its arithmetic and its weights."""
    machine: Machine = chip.options["machine"]
    rate = chip.off_chip_rate
    if rate is not None:
        machine = machine._replace(memory_bytes_s=rate[0] / rate[1] * chip.clock_hz / BITS_PER_BYTE)
    own = [layer for layer in network.layers if layer.is_mac and len(layer.inputs) == 1]
    weights = sum(layer.weight_elements for layer in own) * fmt.bits / BITS_PER_BYTE
    busiest = max(layer.input_elements + layer.output_elements for layer in network.layers) * fmt.bits / BITS_PER_BYTE
    curve, cases = Curve(machine), chip.options["cases"]
    draft = Setting(machine, curve, cases, fmt, chip, weights + busiest, 0.0, False)
    works = [_work(one.layer, draft) for one in placed if one.layer.kind is not Kind.UNSUPPORTED and not one.fused_into]
    away_s = (
        sum(
            one.steps * compute_seconds(one, fmt.name, cases[one.op_class, fmt.name].constants, machine)
            for one in works
        )
        / machine.threads
        + weights * curve(draft.held_bytes) / machine.threads
    )
    off_chip = machine.cold or draft.held_bytes > chip.options["cached_bytes"]
    return draft._replace(away_s=away_s, off_chip=off_chip)


def _added(network: Network, chip: Accelerator, fmt: NumberFormat) -> dict[str, str]:
    """Return the sums that are done in a convolution's registers, and the activations behind them."""
    if not chip.options["adds_in_place"] or fmt.kind == "int":
        return {}
    by_name = {layer.name: layer for layer in network.layers}
    found: dict[str, str] = {}
    for layer in network.layers:
        if layer.kind is Kind.ELEMENTWISE and layer.function == "add" and len(layer.inputs) == 2 and layer.steps == 1:
            chief = next((name for name in map(_through_batch(by_name), layer.inputs) if name), "")
            if chief:
                found[layer.name] = chief
        elif layer.kind is Kind.ACTIVATION and layer.inputs[0] in found and network.consumers[layer.inputs[0]] == 1:
            found[layer.name] = found[layer.inputs[0]]
    return found


def _through_batch(by_name: Mapping[str, Layer]) -> Any:
    """Return a function that gives the convolution a name is, or is the batch normalisation of, and "" otherwise."""

    def convolution(name: str) -> str:
        layer = by_name.get(name)
        if layer is not None and (layer.kind, layer.function) == (Kind.NORMALISATION, "batch"):
            layer = by_name.get(layer.inputs[0])
        return layer.name if layer is not None and layer.kind is Kind.CONV else ""

    return convolution

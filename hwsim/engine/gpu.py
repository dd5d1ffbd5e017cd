"""A GPU: kernels one after the other, each in blocks on its SMs; closed form."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import gpu_algorithms
from hwsim.engine.vector import UNCOMPUTED_KINDS
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.gpu import attention, attention_kernels, kernels, stream, transforms
from hwsim.mapping.gpu.kernel import BlockMapping, Done, Kernel, machine_of, rounded
from hwsim.results.record import Action, Execution, Outcome, Timing, WordCosts
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hwsim.engine.trace import Span
    from hwsim.ir.network import Network
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import NetworkResult

PJ_PER_W_AND_S = 1e12


class Limits(NamedTuple):
    """What bounds every kernel: peak rate, the chip's edge, the power left for what kernels do, and what L2 holds."""

    macs_per_cycle: float
    bits: int
    in_cycles: int
    pj_per_cycle: float
    l2_bits: int


MIXES_FORMATS = True
READS_DENSITIES: frozenset[str] = frozenset()


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome; with attention fused, both of its products hold half of their kernel."""
    # records of a format are few and slow to hash
    formats = {id(one.fmt): one.fmt for one in placed}
    bounds = {key: (limits_of(chip, one), WordCosts(chip, one)) for key, one in formats.items()}
    together, apart = _attentions(network, placed, chip)
    outcomes = []
    for one in placed:
        limits, costs = bounds[id(one.fmt)]
        if one.layer.name in together:
            outcome = _part(one, together[one.layer.name], chip, limits, costs)
        elif one.mapping is None:
            outcome = streamed(one, chip, limits, costs)
        else:
            outcome = _product(one, chip, fidelity, seed, limits, costs)
        outcomes.append(outcome)
    ran = ((one.layer, outcome.extras) for one, outcome in zip(placed, outcomes, strict=True))
    algorithms = gpu_algorithms.notes(chip.options["convolution"], ran)
    return Execution(outcomes, notes=(*apart, *algorithms, *_notes(outcomes)))


def limits_of(chip: Accelerator, fmt: NumberFormat) -> Limits:
    """Return the bounds of a chip in `fmt`."""
    bits, cycles = chip.off_chip_rate or (1, 0)
    budget_w = chip.options["tdp_w"] - chip.options["running_w"]
    pj_per_cycle = budget_w * PJ_PER_W_AND_S / chip.clock_hz
    return Limits(chip.peak_macs_per_cycle(fmt), bits, cycles, pj_per_cycle, chip.level["l2"].usable_bits or 0)


def _product(one: Placed, chip: Accelerator, fidelity: str, seed: int, limits: Limits, costs: WordCosts) -> Outcome:
    mapping: Any = one.mapping
    if fidelity == "stepped":
        from hwsim.engine import gpu_stepped

        return closed(mapping, *gpu_stepped.run(mapping, one.fmt, seed), one.fmt, limits, costs)
    kernel = mapping.kernel
    done = Done(kernel.input_words, kernel.weight_words, transforms.macs(mapping.layer, kernel.algorithm))
    return closed(mapping, kernel, done, one.fmt, limits, costs)


def closed(
    mapping: BlockMapping, kernel: Kernel, done: Done, fmt: NumberFormat, limits: Limits, costs: WordCosts
) -> Outcome:
    """Return cycles and action counts of a product, each of whose steps did what `done` says."""
    steps = mapping.layer.steps
    counts = product_counts(mapping, done, fmt, limits.l2_bits)
    stall = kernel.body_cycles - kernel.sm_cycles + kernel.power_cycles
    timing = Timing(
        steps * kernel.launch_cycles, steps * kernel.sm_cycles, steps * stall, steps * kernel.reduction_cycles
    )
    outcome = bounded(
        timing, counts, limits, costs, fmt, steps * kernel.power_cycles,
        algorithm=kernel.algorithm, tile=f"{kernel.tile_rows}x{kernel.tile_cols}", splits=kernel.splits,
        blocks=steps * kernel.blocks,
    )  # fmt: skip
    arithmetic = gpu_algorithms.columns(mapping.layer, kernel.algorithm, steps * done.macs, fmt)
    return outcome._replace(extras={**outcome.extras, **arithmetic}) if arithmetic else outcome


def product_counts(mapping: BlockMapping, done: Done, fmt: NumberFormat, l2_bits: int) -> dict[Action, int]:
    """Return what a product multiplies and the words it moves: each once over the chip's edge, once a block from L2.

    What warps read of shared memory is not counted, as blocks are not divided into warps; its energy is in that of a
    multiply-accumulate, which is what the TDP leaves.
    """
    layer, kernel, steps = mapping.layer, mapping.kernel, mapping.layer.steps
    inputs, weights, outputs = mapping.dram_words
    read, held = steps * done.input_words, steps * done.weight_words
    counts: dict[Action, int] = {
        ("mac", fmt.name, "output"): steps * done.macs,
        ("shared_memory", "write", "input"): read,
        ("shared_memory", "write", "weight"): held,
        ("l2", "read", "input"): read,
        ("l2", "read", "weight"): held,
        ("l2", "write", "output"): outputs,
        ("dram", "read", "input"): inputs,
        ("dram", "read", "weight"): weights,
        ("dram", "write", "output"): outputs,
    }
    if kernel.splits > 1:
        counts["l2", "write", "psum"] = counts["l2", "read", "psum"] = kernel.splits * outputs
    if kernel.algorithm in transforms.ALGORITHMS:
        for action, words in gpu_algorithms.transform_counts(layer, kernel.algorithm, fmt, l2_bits).items():
            counts[action] = counts.get(action, 0) + words
    return counts


def bounded(
    timing: Timing, counts: dict[Action, int], limits: Limits, costs: WordCosts, fmt: NumberFormat,
    power_cycles: int = 0, *, algorithm: str, tile: str = "", splits: int = 1, blocks: int = 0, fused_into: str = "",
) -> Outcome:  # fmt: skip
    """Return the outcome of a kernel that is as slow as the machine's bounds ask, with its cycles counted as running.

    These are its peak rate in the multiply-accumulates that are done, its bandwidth, and the power that is left for the
    counted actions.
    """
    total = timing.total_cycles
    bits, dynamic_pj = 0, 0.0
    for action, count in counts.items():
        dynamic_pj += count * costs[action]
        if action[0] == "dram":
            bits += count * fmt.operand_bits(action[2])
    macs = counts.get(("mac", fmt.name, "output"), 0)
    floor = max(rounded(macs / limits.macs_per_cycle), ceil_div(bits * limits.in_cycles, limits.bits))
    heat = rounded(dynamic_pj / limits.pj_per_cycle)
    slowest = max(total, floor, heat)
    power_cycles += max(0, heat - max(total, floor))
    if slowest > total:
        timing = timing._replace(stall_cycles=timing.stall_cycles + slowest - total)
    counts["running", "cycle", ""] = slowest
    extras = {
        "algorithm": algorithm, "macs_done": macs, "tile": tile, "splits": splits, "blocks": blocks,
        "throttled_fraction": power_cycles / slowest if slowest else 0.0, "fused_into": fused_into,
    }  # fmt: skip
    return Outcome(timing, counts, extras)


NOTHING: Mapping[str, Any] = {
    "algorithm": "", "macs_done": 0, "tile": "", "splits": 1, "blocks": 0, "throttled_fraction": 0.0, "fused_into": "",
}  # fmt: skip


def streamed(one: Placed, chip: Accelerator, limits: Limits, costs: WordCosts) -> Outcome:
    """Return cycles and counts of an operator that is no product: a kernel of its own, or part of the one before.

    Operators of a recurrent step run in that step's kernel where the library fuses, and only move their operands.
    """
    layer, fmt = one.layer, one.fmt
    if layer.kind in UNCOMPUTED_KINDS:
        return Outcome(Timing(), {}, NOTHING)
    operation: Action = ("vector", fmt.name, "output")
    if one.fused_into:
        return Outcome(Timing(), {operation: layer.operations}, {**NOTHING, "fused_into": one.fused_into})
    op_class = stream.class_of(layer)
    shapes = dict(zip(layer.inputs, layer.input_shapes, strict=True)).values()
    read, written = sum(map(prod, shapes)), layer.output_elements
    machine, case = machine_of(chip, fmt.name), chip.options["cases"][op_class, fmt.name]
    dram_bytes = (read * fmt.bits + written * fmt.operand_bits("output")) / 8
    if layer.steps > 1 and chip.fuses:
        case = case.with_values({kernels.VECTOR_LAUNCH_US: 0.0, kernels.VECTOR_RAMP_US: 0.0})
    moving = rounded(stream.cycles(op_class, dram_bytes, layer.output_shape[-1], len(shapes), machine, case))
    computing = ceil_div(layer.operations // layer.steps, chip.vector_lanes)
    launch = min(moving, rounded(case.values[kernels.VECTOR_LAUNCH_US] * float(machine[3])))
    steps, busy = layer.steps, max(computing, moving - launch)
    timing = Timing(steps * launch, steps * computing, steps * (busy - computing), 0)
    counts: dict[Action, int] = {
        operation: layer.operations,
        ("dram", "read", "input"): steps * read,
        ("dram", "write", "output"): steps * written,
    }
    return bounded(timing, counts, limits, costs, fmt, algorithm=op_class)


def _attentions(
    network: Network, placed: Sequence[Placed], chip: Accelerator
) -> tuple[dict[str, attention.Attention], tuple[str, ...]]:
    """Return the attention each layer is part of, where all parts are of a format that the library has a kernel for.

    Others get a note.
    """
    if chip.options["attention"] != "fused" or not any(one.layer.kind is Kind.SOFTMAX for one in placed):
        return {}, ()
    formats = {one.layer.name: one.fmt.name for one in placed}
    together: dict[str, attention.Attention] = {}
    apart: list[str] = []
    for one in attention.found_in(network):
        among = {formats[part.name] for part in one.all_layers}
        if len(among) == 1 and among <= set(attention.FORMATS):
            together |= {layer.name: one for layer in one.all_layers}
        else:
            apart.append(" and ".join(sorted(among)))
    if not apart:
        return together, ()
    kinds, attentions = ", ".join(sorted(set(apart))), f"{len(apart)} attention{'s' if len(apart) > 1 else ''}"
    return together, (f"attention=fused has no kernel in {kinds}: {attentions} computed by a kernel per product",)


def _part(one: Placed, whole: attention.Attention, chip: Accelerator, limits: Limits, costs: WordCosts) -> Outcome:
    """Return a layer's part of an attention kernel: half the time to each product, scores never leave the SMs."""
    layer, fmt, scores, sums = one.layer, one.fmt, whole.scores, whole.values
    if not layer.is_mac:
        operation: Action = ("vector", fmt.name, "output")
        return Outcome(Timing(), {operation: layer.operations}, {**NOTHING, "fused_into": scores.name})
    launch, body = _attention_cycles(scores, chip, fmt)
    first = layer is scores
    busy = body // 2 if first else body - body // 2
    moved = scores.G * scores.C * (scores.N + scores.K)
    inputs, outputs = (moved, 0) if first else (sums.G * sums.C * sums.K, sums.output_elements)
    counts: dict[Action, int] = {
        ("mac", fmt.name, "output"): layer.macs,
        ("l2", "read", "input"): inputs,
        ("dram", "read", "input"): inputs,
    }
    if outputs:
        counts["dram", "write", "output"] = outputs
    timing = Timing(launch if first else 0, busy)
    into = "" if first else scores.name
    return bounded(timing, counts, limits, costs, fmt, algorithm="attention", fused_into=into)


def _attention_cycles(scores: Layer, chip: Accelerator, fmt: NumberFormat) -> tuple[int, int]:
    """Return the cycles of an attention kernel's launch and of what follows; one query has a kernel of its own."""
    machine, case = machine_of(chip, fmt.name), chip.options["cases"]["attention", fmt.name]
    heads, queries, keys, width, word_bytes = scores.G, scores.N, scores.K, scores.C, fmt.bits / 8
    if queries == 1:
        launch_us = case.values[attention_kernels.DECODE_LAUNCH_US]
        cycles = attention.decode_cycles(1, keys, heads, heads, width, word_bytes, machine, case)
    else:
        launch_us = case.values[attention_kernels.LAUNCH_US]
        cycles = attention.prefill_cycles(
            1, queries, keys, heads, heads, width, word_bytes, machine, case, causal=False
        )
    launch = rounded(launch_us * float(machine[3]))
    return launch, rounded(cycles) - launch


def _notes(outcomes: list[Outcome]) -> tuple[str, ...]:
    """Return a sentence on layers that power holds back by more than a hundredth."""
    throttled = sum(one.extras["throttled_fraction"] > 0.01 for one in outcomes)
    return (f"{throttled} layers run below their speed because the chip's power is limited",) if throttled else ()


def spans(result: NetworkResult) -> Iterator[Iterator[Span]]:
    """Yield the timeline of every layer: launch, blocks on the SMs, what else they wait for, reduction."""
    return (_phases(layer.timing) for layer in result.layers)


def _phases(timing: Timing) -> Iterator[Span]:
    from hwsim.engine.trace import Span

    start = 0
    for unit, name, cycles in zip(UNITS, PHASES, timing, strict=True):
        if cycles:
            yield Span(unit, name, start, cycles)
            start += cycles


UNITS = ("launch", "SMs", "SMs", "SMs")
PHASES = ("launch", "blocks", "memory or power", "reduction")
"""What the cycles of filling, computing, stalling and draining are."""

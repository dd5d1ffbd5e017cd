"""Matrix products in blocks: the fastest tile and split of the reduction that the library has.

t = launch + (SMs^p + memory^p)^(1/p) + reduction of a split sum, limited by power. For waves of blocks, tile-edge
efficiency and operands from L2 see `constants` and `kernels`.
"""

from __future__ import annotations

from typing import Any

from hwsim.arch.source import Source
from hwsim.mapping.gpu import kernels
from hwsim.mapping.gpu.constants import GEMV_LAUNCH_US, STREAM_SHARE, Case, array, menu_array
from hwsim.mapping.gpu.kernel import Kernel, rounded
from hwsim.units import ceil_div

WARPS = int(kernels.WARPS)

SOURCES = {
    "matrix by vector": Source.assumed(
        f"a warp per output, {WARPS} warps on an SM, each with {kernels.LINE_BYTES:g} bytes in flight and "
        f"{kernels.EXTRA_LINES:g} latencies beside those of its lines, or blocks, whichever is faster; for one vector "
        "in fp32 only, as EIE's Table IV has it on a Titan X: no product of two vectors or a few was measured, and in "
        "fp16 and below the fitted blocks hold vectors too"
    ),
    "blocks in flight": Source.assumed(
        f"half of an SM's 65536 registers hold outputs of up to {kernels.RESIDENT_BLOCKS:g} blocks"
    ),
    "power limit of products": Source.assumed(
        f"times at the peak and at the sustained rate overlap, with exponent {kernels.POWER_EXPONENT:g}: the larger"
    ),
}


def product(
    batch: int, rows: int, cols: int, depth: int, dram_bytes: float, word_bytes: float, machine: Any, case: Case,
    one_vector: Case | None,
) -> Kernel:  # fmt: skip
    """Return the kernel that a library takes for `batch` products of (rows, depth) by (depth, cols): the fastest.

    `one_vector` are the constants of a matrix by a vector, where it has a kernel for that.
    """
    blocked = gemm(batch, rows, cols, depth, dram_bytes, word_bytes, machine, case)
    if one_vector is None or rows > 1:
        return blocked
    streamed = gemv(batch, cols, depth, dram_bytes, word_bytes, machine, one_vector)
    return min(blocked, streamed, key=lambda kernel: kernel.total_cycles)


def gemm(
    batch: int, rows: int, cols: int, depth: int, dram_bytes: float, operand_bytes: float, machine: Any, case: Case,
    *, algorithm: str = "gemm",
) -> Kernel:  # fmt: skip
    """Return the kernel in blocks for `batch` products of (rows, depth) by (depth, cols)."""
    values, menu = case.values, menu_array(case.menu)
    found = kernels.gemm(
        batch,
        rows,
        cols,
        depth,
        dram_bytes,
        operand_bytes,
        case.quantum,
        values[kernels.EFFICIENCY],
        menu,
        machine,
        array(values),
    )
    tall, wide, splits = map(int, menu[found[1], :3])
    return kernel_of(algorithm, found, tall, wide, splits, (batch, rows, cols, depth), machine, case)


def gemv(batch: int, cols: int, depth: int, dram_bytes: float, word_bytes: float, machine: Any, case: Case) -> Kernel:
    """Return the kernel for `batch` matrices of (depth, cols) by a vector each, a warp per output.

    t = launch + (memory^2 + chain^2)^(1/2), where the chain is of lines that a warp waits for one after the other
    (Little's law): it, not bandwidth, bounds a matrix of few rows.
    """
    blocks, share = batch * ceil_div(cols, WARPS), case.values[STREAM_SHARE]
    body, block, last, sm = kernels.gemv(blocks, depth, dram_bytes, word_bytes, share, machine)
    launch, input_words = rounded(case.values[GEMV_LAUNCH_US] * float(machine[3])), blocks * depth
    return Kernel(
        "gemv", 1, WARPS, 1, blocks, int(block), int(last), launch, int(sm), rounded(body), 0, 0, input_words,
        batch * cols * depth,
    )  # fmt: skip


def kernel_of(
    algorithm: str, found: tuple[Any, ...], tall: int, wide: int, splits: int, shape: tuple[int, int, int, int],
    machine: Any, case: Case,
) -> Kernel:  # fmt: skip
    """Return what a compiled kernel `found` for a product of `shape`, in whole cycles, with its launch."""
    _, _, blocks, block, last, sm, body, power, reduction = found
    batch, rows, cols, depth = shape
    body_cycles, reduction_cycles = rounded(body), rounded(reduction)
    busy = body + power + reduction
    if case.values[kernels.THROTTLE_SLOPE] > 0:
        power += kernels.throttled(busy, machine, array(case.values)) - busy
    return Kernel(
        algorithm,
        tall,
        wide,
        splits,
        int(blocks),
        int(block),
        int(last),
        rounded(case.values[kernels.LAUNCH_US] * float(machine[3])),
        int(sm),
        body_cycles,
        rounded(power),
        reduction_cycles,
        batch * rows * depth * ceil_div(cols, wide),
        batch * depth * cols * ceil_div(rows, tall),
        int(sm - blocks // machine[0] * block - last),
        int(case.quantum),
    )

"""Matrix products in blocks: the fastest tile and split of the reduction that the library has.

t = launch + (SMs^p + memory^p)^(1/p) + reduction of a split sum, limited by power. For waves of blocks, tile-edge
efficiency and operands from L2 see `constants` and `kernels`.
"""

from __future__ import annotations

from typing import Any

from hwsim.mapping.gpu import kernels
from hwsim.mapping.gpu.constants import Case, array, menu_array
from hwsim.mapping.gpu.kernel import Kernel, rounded
from hwsim.units import ceil_div


def gemm(
    batch: int, rows: int, cols: int, depth: int, dram_bytes: float, operand_bytes: float, machine: Any, case: Case,
    *, slower: float = 1.0, algorithm: str = "gemm",
) -> Kernel:  # fmt: skip
    """Return the kernel for `batch` products of (rows, depth) by (depth, cols), `slower` times less efficient."""
    values, menu = case.values, menu_array(case.menu)
    found = kernels.gemm(
        batch,
        rows,
        cols,
        depth,
        dram_bytes,
        operand_bytes,
        case.quantum,
        values[0] / slower,
        menu,
        machine,
        array(values),
    )
    tall, wide, splits = map(int, menu[found[1], :3])
    return kernel_of(algorithm, found, tall, wide, splits, (batch, rows, cols, depth), machine, case)


STREAM_SHARE = 0.839
"""Share of the bandwidth that all warps of an SM reach together: 281.9 of 336 GB/s at DeepBench's 1024 x 8 x 500000."""

WARPS = 64
"""Warps resident on an SM."""

GEMV_LAUNCH_US = {"direct": 7.0}


def gemv(
    batch: int, rows: int, cols: int, depth: int, dram_bytes: float, word_bytes: float, machine: Any, launch_us: float
) -> Kernel:
    """Return the kernel for matrices by vectors, a warp per output, all `rows` in turn.

    t = launch + (memory^2 + chain^2)^(1/2), where the chain is of lines that a warp waits for one after the other
    (Little's law): it, not bandwidth, bounds a matrix of few rows.
    """
    blocks = batch * rows * ceil_div(cols, WARPS)
    body, block, last, sm = kernels.gemv(blocks, depth, rows * dram_bytes, word_bytes, STREAM_SHARE, machine)
    launch, input_words = rounded(launch_us * float(machine[3])), blocks * depth
    return Kernel(
        "gemv", 1, WARPS, 1, blocks, int(block), int(last), launch, int(sm), rounded(body), 0, 0, input_words,
        batch * rows * cols * depth,
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
    if case.values[12] > 0:
        power += kernels.throttled(busy, machine, array(case.values)) - busy
    return Kernel(
        algorithm,
        tall,
        wide,
        splits,
        int(blocks),
        int(block),
        int(last),
        rounded(case.values[6] * float(machine[3])),
        int(sm),
        body_cycles,
        rounded(power),
        reduction_cycles,
        batch * rows * depth * ceil_div(cols, wide),
        batch * depth * cols * ceil_div(rows, tall),
        int(sm - blocks // machine[0] * block - last),
        int(case.quantum),
    )

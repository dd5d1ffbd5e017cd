"""Recurrent layers: all inputs are one product; the products of the state wait for one another, step by step."""

from __future__ import annotations

from typing import Any

from hwsim.arch.source import Source
from hwsim.ir.layer import Layer
from hwsim.mapping.gpu import kernels
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import Kernel, rounded
from hwsim.mapping.gpu.matrix import gemm

SOURCES = {
    "weights of a recurrent layer": Source.assumed("stay in L2 from step to step where they fill half of it at most")
}


def weights_stay(weight_elements: int, weight_bits: int, l2_bits: int) -> bool:
    """Whether the weights of a product that runs step after step stay in half of the L2 between steps."""
    return weight_elements * weight_bits * 2 <= l2_bits


def step(
    layer: Layer, dram_bytes: float, word_bytes: float, machine: Any, case: Case, gate_words: float = 0.0
) -> Kernel:
    """Return the kernel of one step; `dram_bytes` are those of all steps, `launch_us` those between two steps.

    Weights that stay in L2 cross the chip's edge once, so that most steps read them at L2's rate. `gate_words` are
    those that operators on elements of the same kernel move through L2.
    """
    shape = (layer.G, layer.positions, layer.K, layer.reduction)
    kernel = gemm(*shape, dram_bytes / layer.steps, word_bytes, machine, case)
    gates = rounded(gate_words * word_bytes / (case.values[kernels.L2_BYTES_PER_CYCLE] * float(machine[0])))
    return kernel._replace(reduction_cycles=kernel.reduction_cycles + gates)

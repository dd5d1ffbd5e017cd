"""From a layer to the kernel that a library runs for it."""

from __future__ import annotations

from math import prod
from operator import mul

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.gpu import recurrent
from hwsim.mapping.gpu.convolution import convolve
from hwsim.mapping.gpu.kernel import BlockMapping, machine_of
from hwsim.mapping.gpu.matrix import product

BITS = 8
OPERANDS = ("input", "weight", "output")


def place(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> BlockMapping:
    """Return the mapping of a product: the fastest kernel for its class of operators."""
    words = off_chip_words(layer, chip, fmt)
    dram_bytes = sum(map(mul, words, map(fmt.operand_bits, OPERANDS))) / BITS
    machine, word_bytes = machine_of(chip, fmt.name), fmt.bits / BITS
    cases = chip.options["cases"]
    if layer.kind is Kind.CONV:
        simt = float(chip.array.macs_per_cycle["fp32"])
        wanted = chip.options["convolution"]
        kernel = convolve(layer, dram_bytes, word_bytes, machine, cases["conv", fmt.name], simt, wanted)
    elif layer.steps > 1:
        kernel = recurrent.step(layer, dram_bytes, word_bytes, machine, cases["recurrent", fmt.name])
    else:
        case, one_vector = cases["bmm" if layer.G > 1 else "gemm", fmt.name], cases.get(("gemv", fmt.name))
        shape = (layer.G, layer.positions, layer.K, layer.reduction)
        kernel = product(*shape, dram_bytes, word_bytes, machine, case, one_vector)
    return BlockMapping(layer, "thread_blocks", kernel, chip.array.rows, words)


def off_chip_words(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> tuple[int, int, int]:
    """Return the words of inputs, weights and outputs of a product that cross the chip's edge, each once per step.

    Weights are read once in all steps if they stay in L2 meanwhile.
    """
    is_conv = layer.kind is Kind.CONV
    if is_conv:
        inputs = layer.input_elements_used
    elif len(layer.inputs) == 1:
        inputs = layer.input_elements
    else:
        inputs = sum(map(prod, dict(zip(layer.inputs, layer.input_shapes, strict=True)).values()))
    weights = layer.weight_elements if is_conv or len(layer.inputs) == 1 else 0
    if weights and layer.steps > 1:
        l2_bits = chip.level["l2"].usable_bits or 0
        stay = recurrent.weights_stay(weights, fmt.operand_bits("weight"), l2_bits)
        weights *= 1 if stay else layer.steps
    return layer.steps * inputs, weights, layer.steps * layer.output_elements

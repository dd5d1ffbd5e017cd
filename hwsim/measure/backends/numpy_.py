"""numpy, fp32: products by its BLAS, the rest by its operators; one layer per call, results freshly allocated."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.formats import NumberFormat
from hwsim.functional.forward import computed
from hwsim.functional.windows import windows
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.measure.layerwise import LayerwiseRunner
from hwsim.measure.moves import move
from hwsim.measure.operands import Prepared, require_consistent, tensors
from hwsim.measure.program import Compute, program

formats = ("fp32",)
device = "cpu"

NOTES = ("numpy: convolutions are unrolled to matrix products image by image and group by group (im2col)",)


def missing() -> str:
    """Return nothing: hwsim itself needs numpy."""
    return ""


def prepare(network: Network, fmt: NumberFormat, threads: int, seed: int, keep: bool = False) -> LayerwiseRunner:
    """Return `network` on numpy; with `keep` its tensors stay until the end of a run."""
    parameters = Prepared(network.tensors, seed)

    def compute(layer: Layer) -> Compute:
        require_consistent(layer)
        if layer.is_depthwise:
            return quietly(lambda operands, step: depthwise(layer, operands[0], parameters))
        found = move(layer, network, parameters) if layer.kind is Kind.RESHAPE else None
        if found is not None:
            return lambda operands, step: found.of(operands[0], np.transpose)
        return quietly(lambda operands, step: computed(layer, operands, network, parameters))

    return LayerwiseRunner(program(network, tensors(network, seed), compute, sequence, keep), NOTES)


def quietly(compute: Compute) -> Compute:
    """Return a call that says nothing of overflows: random weights may make some."""

    def call(operands: list[Any], step: int) -> Any:
        with np.errstate(all="ignore"):
            return compute(operands, step)

    return call


def sequence(steps: list[Any]) -> Any:
    """Return (N, steps, features) of the values of all steps."""
    return np.stack(steps, axis=1)


def depthwise(layer: Layer, x: Any, parameters: Prepared) -> Any:
    """Return the convolution of every channel with its filter, tap by tap over all of them."""
    weights = parameters.filters(layer)
    bias, under = parameters.bias(layer), windows(layer, x, 0.0)
    y = np.zeros(layer.output_shape, np.float32)
    for r in range(layer.R):
        for s in range(layer.S):
            y += under[..., r, s] * weights[:, 0, r, s, None, None]
    return y if bias is None else y + bias[:, None, None]

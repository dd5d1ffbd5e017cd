"""This project's own kernels, compiled by numba, fp32 and int8: one layer per call, on buffers that are made once."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hwsim.errors import counted
from hwsim.formats import NumberFormat
from hwsim.ir.network import Network

if TYPE_CHECKING:
    from hwsim.measure.layerwise import LayerwiseRunner

formats = ("fp32", "int8")
device = "cpu"


def missing() -> str:
    """Return nothing, unless numba is not there."""
    return "" if find_spec("numba") else "numba is not installed"


def prepare(network: Network, fmt: NumberFormat, threads: int, seed: int, keep: bool = False) -> LayerwiseRunner:
    """Return `network` on the project's kernels; with `keep` its tensors stay until the end of a run."""
    if fmt.name == "int8":
        from hwsim.measure.backends.numba_int8 import runner

        return runner(network, seed, keep)
    from hwsim.measure.backends import numba_fp32
    from hwsim.measure.backends.numpy_ import sequence
    from hwsim.measure.layerwise import LayerwiseRunner
    from hwsim.measure.operands import Prepared, require_consistent, tensors
    from hwsim.measure.program import Compute, program

    parameters, by_numpy = Prepared(network.tensors, seed), list[str]()

    def compute(layer: Any) -> Compute:
        require_consistent(layer)
        return numba_fp32.compute(layer, network, parameters, by_numpy)

    made = program(network, tensors(network, seed), compute, sequence, keep)
    return LayerwiseRunner(made, said(by_numpy))


def said(by_numpy: list[str]) -> tuple[str, ...]:
    """Return the note on layers that have no kernel."""
    if not by_numpy:
        return ()
    layers = counted(len(by_numpy), "layer without a kernel here is", "layers without a kernel here are")
    return (f"{layers} run by numpy: {', '.join(by_numpy[:5])}",)

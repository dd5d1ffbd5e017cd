"""What is timed computes the network: every backend's values are those of the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from measured_networks import NETWORKS, images, worst_error

from hwsim import catalog
from hwsim.errors import InputError
from hwsim.functional.kernels import gemm
from hwsim.functional.lowering import product
from hwsim.ir import NetworkBuilder
from hwsim.measure.backends import backends
from hwsim.measure.operands import Prepared, require_consistent
from hwsim.measure.program import plainly

FP32, HALF, INT8 = 2e-5, 5e-2, 0.15
"""Largest errors relative to a layer's largest value: order of sums; 8 to 11 bits of mantissa and 256 steps through all
layers, of which each passes on the errors of those before it."""


COMPILES_LONG = pytest.mark.slow
NUMBA = [
    pytest.param(name, fmt, limit, marks=[COMPILES_LONG] if fmt == "int8" and name != "attention" else [])
    for name in NETWORKS
    for fmt, limit in (("fp32", FP32), ("int8", INT8))
]
"""Most operators in int8 are kernels of their own, which take seconds to compile where numba's cache is empty."""


@pytest.mark.parametrize("name", NETWORKS)
def test_numpy_computes_what_the_reference_does(name: str) -> None:
    assert worst_error(NETWORKS[name](), "numpy", "fp32") < (FP32, "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fmt", "limit"), NUMBA)
def test_numba_computes_what_the_reference_does(name: str, fmt: str, limit: float) -> None:
    assert worst_error(NETWORKS[name](), "numba", fmt) < (limit, "")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("fmt", "limit"), [("fp32", FP32), ("bf16", HALF), ("fp16", HALF)])
def test_torch_computes_what_the_reference_does(name: str, fmt: str, limit: float) -> None:
    pytest.importorskip("torch", reason="the backend's library")
    assert worst_error(NETWORKS[name](), "torch", fmt) < (limit, "")


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 4, 1), (7, 20, 3), (13, 300, 37), (101, 1028, 67)])
def test_int8_sums_are_those_of_the_accumulator(rows: int, depth: int, columns: int) -> None:
    generator = np.random.default_rng(1)
    x = generator.integers(-128, 128, (rows, depth), dtype=np.int8)
    w = generator.integers(-128, 128, (depth, columns), dtype=np.int8)
    shift = (-128 * w.sum(axis=0, dtype=np.int32)).astype(np.int32)
    y = multiplied((x.astype(np.int16) + 128).astype(np.uint8), w, shift, np.zeros((rows, columns), np.int32))
    assert (y == product(x, w, catalog.number_format("int8"))).all()


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 1, 1), (7, 19, 3), (13, 301, 37), (101, 1031, 67)])
def test_fp32_products_differ_from_float64_by_rounding_alone(rows: int, depth: int, columns: int) -> None:
    generator = np.random.default_rng(1)
    x, w, bias = (generator.standard_normal(shape, np.float32) for shape in ((rows, depth), (depth, columns), columns))
    exact = x.astype(np.float64) @ w.astype(np.float64) + bias
    most = np.abs(x).astype(np.float64) @ np.abs(w) + np.abs(bias)
    error = np.abs(multiplied(x, w, bias, np.zeros((rows, columns), np.float32)) - exact)
    assert (error <= (depth + 1) * 2.0**-24 * most).all()


def multiplied(x: Any, w: Any, bias: Any, y: Any) -> Any:
    """Return x @ w + bias as the tiles compute it."""
    (rows, depth), columns = x.shape, w.shape[1]
    base, panel = np.arange(rows, dtype=np.int64) * depth, gemm.packed(w, 4 if w.dtype == np.int8 else 1)
    gemm.multiply(x.reshape(-1), base, np.zeros(1, np.int64), depth, panel, bias, y.reshape(-1), columns, 0, columns)
    return y


def test_a_layer_without_a_kernel_is_run_by_numpy_and_named() -> None:
    net = NetworkBuilder("rare")
    net.activation("mish", net.input("x", (2, 7)), "mish")
    library: Any = backends()["numba", "cpu"]
    runner = library.prepare(net.build(), catalog.number_format("fp32"), 1, 0)
    assert runner.notes == ("1 layer without a kernel here is run by numpy: mish",)


def test_a_layer_that_torch_is_not_told_is_refused_by_name() -> None:
    pytest.importorskip("torch", reason="the backend's library")
    net = NetworkBuilder("rare")
    net.pool("smooth", net.input("x", (1, 2, 5, 7)), 3, function="log_sum_exp")
    library: Any = backends()["torch", "cpu"]
    with pytest.raises(InputError, match="layer 'smooth': pool 'log_sum_exp' is not among what torch is measured on"):
        library.prepare(net.build(), catalog.number_format("fp32"), 1, 0)


def test_loops_that_are_not_those_of_the_tensors_never_reach_a_kernel() -> None:
    layer = images().layers[0]
    require_consistent(layer)
    for wrong in (replace(layer, C=5), replace(layer, P=layer.P + 1), replace(layer, K=layer.K + 1)):
        with pytest.raises(InputError, match="but its loops are over"):
            require_consistent(wrong)


def test_parameters_are_drawn_once() -> None:
    layer, parameters = images().layers[0], Prepared({}, 3)
    shape = (layer.K, layer.C, layer.R, layer.S)
    assert parameters.weight(layer, [shape]) is parameters.weight(layer, [shape])


def test_a_program_drops_what_nobody_reads_again() -> None:
    library: Any = backends()["numpy", "cpu"]
    left = library.prepare(images(), catalog.number_format("fp32"), 1, 0).program.run(plainly)
    assert set(left) == {"softmax"}

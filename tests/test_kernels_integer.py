"""Kernels of int8, binary and ternary values: every bit of their sums, against torch and onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_kernels import compiles_long, convolution_layer, convolutions, exact, one_thread, quickly

from hwsim.errors import HardwareError, InputError
from hwsim.functional.kernels import amx, binary, convolution, products, ternary
from hwsim.functional.kernels.memory import aligned
from hwsim.ir import Layer

__all__ = ["one_thread"]  # for all tests here too

Array = NDArray[Any]

needs_tiles = pytest.mark.skipif(not amx.is_available(), reason="this machine has no matrix unit")


def integers(seed: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return integers over the whole range of their type."""
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape, dtype=dtype)


def modulo(exact_sums: Array) -> Array:
    """Return sums modulo 2^32, as 32-bit accumulators hold them."""
    return exact_sums.astype(np.int64).astype(np.int32)


@quickly
@given(convolutions(), st.sampled_from((np.int8, np.uint8)), st.integers(0, 255))
@pytest.mark.parametrize("compute", [convolution.direct, convolution.im2col])
def test_int8_convolutions_are_torch_s_to_the_bit(compute: Any, layer: Layer, dtype: Any, zero: int) -> None:
    zero = zero if dtype == np.uint8 else zero - 128
    x = integers(3, layer.input_shapes[0], dtype)
    weights = integers(5, (layer.G, layer.K, layer.C, layer.R, layer.S), np.int8)
    found = compute(layer, x, weights, zero)
    assert found.dtype == np.int32
    # float64 holds these sums exactly; padding is zero, which is stored as the zero point
    assert np.array_equal(found, modulo(exact(layer, x.astype(np.float64) - zero, weights)))


@compiles_long
@quickly
@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 2), st.integers(0, 255))
def test_int8_depthwise_convolutions_are_torch_s_to_the_bit(
    channels: int, stride: int, padding: int, zero: int
) -> None:
    layer = convolution_layer((2, channels, 13, 11), channels, 3, stride=stride, padding=padding, groups=channels)
    x, weights = integers(3, layer.input_shapes[0], np.uint8), integers(5, (channels, 1, 1, 3, 3), np.int8)
    found = convolution.depthwise(layer, x, weights, zero)
    assert np.array_equal(found, modulo(exact(layer, x.astype(np.float64) - zero, weights)))


def onnx_result(operator: str, inputs: dict[str, Array], **attributes: Any) -> Array:
    """Return what onnxruntime makes of one operator."""
    runtime: Any = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of ConvInteger")
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(operator, list(inputs), ["y"], **attributes)],
        "one",
        [],
        [helper.make_tensor_value_info("y", 6, None)],
        [numpy_helper.from_array(value, name) for name, value in inputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {})[0]
    return result


def test_int8_convolutions_are_onnxruntime_s_to_the_bit() -> None:
    layer = convolution_layer((1, 7, 13, 11), 5, 3, stride=2, padding=1)
    x, weights = integers(3, layer.input_shapes[0], np.uint8), integers(5, (1, 5, 7, 3, 3), np.int8)
    given_ = {"x": x, "w": weights[0], "zero": np.array(113, np.uint8)}
    expected = onnx_result("ConvInteger", given_, strides=(2, 2), pads=(1, 1, 1, 1))
    assert np.array_equal(convolution.direct(layer, x, weights, 113), expected)
    assert np.array_equal(convolution.im2col(layer, x, weights, 113), expected)


def test_int8_products_are_onnxruntime_s_to_the_bit() -> None:
    a, b = integers(3, (13, 101), np.uint8), integers(5, (101, 37), np.int8)
    expected = onnx_result("MatMulInteger", {"a": a, "b": b, "zero": np.array(113, np.uint8)})
    assert np.array_equal(products.integer(a, b, 113), expected)


@quickly
@given(st.integers(1, 67), st.integers(1, 211), st.integers(1, 67), st.integers(-128, 127))
def test_int8_products_are_exact(rows: int, depth: int, cols: int, zero: int) -> None:
    a, b = integers(3, (rows, depth), np.int8), integers(5, (depth, cols), np.int8)
    assert np.array_equal(products.integer(a, b, zero), (a.astype(np.int64) - zero) @ b.astype(np.int64))


def test_int8_sums_wrap_at_32_bits() -> None:
    # 2^17 + 2 products of -128 by -128 sum to 2^31 + 2^15
    depth = 2**17 + 2
    a = np.full((1, depth), -128, np.int8)
    assert products.integer(a, a.T)[0, 0] == -(2**31) + 2**15


@needs_tiles
@quickly
@given(st.integers(1, 67), st.integers(1, 211), st.integers(1, 67))
def test_int8_products_on_the_matrix_unit_are_exact(rows: int, depth: int, cols: int) -> None:
    a, b = integers(3, (rows, depth), np.int8), integers(5, (depth, cols), np.int8)
    y = np.empty((rows, cols), np.int32)
    products.integer_in_tiles(a, products.integer_columns(b), y)
    assert np.array_equal(y, a.astype(np.int64) @ b.astype(np.int64))


@needs_tiles
def test_rows_beyond_those_that_are_near_are_the_same_on_the_matrix_unit() -> None:
    # 16 panels of 32 rows are near at once: 1031 rows take three rounds, the last of them not whole
    a, b = integers(3, (1031, 67), np.int8), integers(5, (67, 48), np.int8)
    y = aligned(1031 * 48, np.int32).reshape(1031, 48)
    products.integer_in_tiles(a, products.integer_columns(b), y)
    assert np.array_equal(y, a.astype(np.int64) @ b.astype(np.int64))


def test_a_machine_without_a_matrix_unit_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "is_available", lambda: False)
    with pytest.raises(HardwareError, match="no matrix unit"):
        amx.configuration()


@quickly
@given(st.integers(1, 67), st.integers(1, 211), st.integers(1, 67))
def test_binary_products_are_those_of_plus_and_minus_one(rows: int, depth: int, cols: int) -> None:
    generator = np.random.default_rng(7)
    a, b = (generator.choice(np.array([-1, 1], np.int32), (size, depth)) for size in (rows, cols))
    x, w, y = binary.packed(a), binary.packed(b), np.empty((rows, cols), np.int32)
    binary.counted(x, binary.columns_for_counting(w), depth, y)
    assert np.array_equal(y, a @ b.T)
    assert np.array_equal(binary.product(x, w, depth), a @ b.T)


def test_packing_by_hand() -> None:
    # the first value is the lowest bit: + - + + gives 1 + 4 + 8; zero counts as not negative
    assert binary.packed(np.array([[1.0, -1.0, 0.0, 5.0]])).tolist() == [[13]]
    assert binary.packed(np.ones((1, 65), np.int8)).tolist() == [[2**64 - 1, 1]]


@compiles_long
@quickly
@given(st.integers(1, 31), st.integers(1, 67), st.integers(1, 31), st.floats(0, 1))
def test_ternary_products_skip_zeros(rows: int, depth: int, cols: int, density: float) -> None:
    generator = np.random.default_rng(7)
    weights = generator.choice(np.array([-1, 1]), (cols, depth)) * (generator.random((cols, depth)) < density)
    columns, x = ternary.columns(weights), integers(3, (rows, depth), np.int8)
    assert columns.additions == np.count_nonzero(weights)
    assert np.array_equal(ternary.product(x, columns), x.astype(np.int32) @ weights.T)
    values = generator.standard_normal((rows, depth), dtype=np.float32)
    np.testing.assert_allclose(ternary.product(values, columns), values @ weights.T.astype(np.float32), atol=1e-4)


def test_ternary_weights_have_three_values() -> None:
    with pytest.raises(InputError, match="ternary weights are -1, 0 and 1"):
        ternary.columns(np.array([[2, 0]]))

"""Convolutions as matrices: the same windows and sums as torch and as loops written down here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import attention, conv, convolutions, layers, linear

from hwsim.catalog import names, number_format
from hwsim.functional.lowering import input_matrix, product, random_operands, weight_matrix
from hwsim.ir import Layer

INT8, FP32 = number_format("int8"), number_format("fp32")


def lowered(layer: Layer, x: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Return a convolution's outputs (N, G K, P, Q), computed as one matrix product per group in float64."""
    groups = [
        input_matrix(layer, x, group).astype(np.float64) @ weight_matrix(layer, weights, group)
        for group in range(layer.G)
    ]
    return np.concatenate(
        [out.reshape(layer.N, layer.P, layer.Q, layer.K).transpose(0, 3, 1, 2) for out in groups], axis=1
    )


def test_rows_of_the_input_matrix_are_windows_in_the_order_channel_row_column() -> None:
    # 2 channels of 3 x 3 counted from 0; a 2 x 2 window at (p, q) = (0, 1)
    layer = conv((1, 2, 3, 3), 5, 2)
    x = np.arange(18).reshape(1, 2, 3, 3)
    assert input_matrix(layer, x, 0)[1].tolist() == [1, 2, 4, 5, 10, 11, 13, 14]
    assert input_matrix(layer, x, 0).shape == (4, 8)


def test_padding_is_zeros_on_the_side_it_is_given_for() -> None:
    # one row above and two columns on the right of a 2 x 2 image of ones
    layer = conv((1, 1, 2, 2), 1, 2, padding=(1, 0, 0, 2))
    assert input_matrix(layer, np.ones((1, 1, 2, 2)), 0).reshape(2, 3, 2, 2).tolist() == [
        [[[0, 0], [1, 1]], [[0, 0], [1, 0]], [[0, 0], [0, 0]]],
        [[[1, 1], [1, 1]], [[1, 0], [1, 0]], [[0, 0], [0, 0]]],
    ]


def test_dilated_windows_skip_and_strided_windows_jump() -> None:
    # taps 0 and 3, starting at 0, 2, 4
    layer = conv((1, 1, 1, 8), 1, (1, 2), stride=2, dilation=3)
    assert input_matrix(layer, np.arange(8).reshape(1, 1, 1, 8), 0).tolist() == [[0, 3], [2, 5], [4, 7]]


def test_every_group_reads_its_own_channels_and_filters() -> None:
    layer = conv((1, 6, 2, 2), 4, 1, groups=2)
    x, weights = np.arange(24).reshape(1, 6, 2, 2), np.arange(12).reshape(2, 2, 3, 1, 1)
    assert input_matrix(layer, x, 1).tolist() == [[12, 16, 20], [13, 17, 21], [14, 18, 22], [15, 19, 23]]
    assert weight_matrix(layer, weights, 1).tolist() == [[6, 9], [7, 10], [8, 11]]


@settings(deadline=None)
@given(convolutions())
def test_lowered_convolutions_are_torchs_in_float64(layer: Layer) -> None:
    torch = pytest.importorskip("torch", reason="the oracle of convolutions")
    x, weights = random_operands(layer, INT8, 3)
    top, left, bottom, right = layer.padding
    padded = torch.nn.functional.pad(torch.from_numpy(x.astype(np.float64)), (left, right, top, bottom))
    filters = torch.from_numpy(weights.reshape(-1, *weights.shape[2:]).astype(np.float64))
    expected = torch.nn.functional.conv2d(padded, filters, stride=layer.stride, dilation=layer.dilation, groups=layer.G)
    # sums of up to 60 products of at most 2^14 are exact in float64
    np.testing.assert_array_equal(lowered(layer, x, weights), expected.numpy())
    assert tuple(expected.shape) == layer.output_shape


@settings(deadline=None)
@given(convolutions())
def test_the_input_matrix_is_torchs_unfold(layer: Layer) -> None:
    torch = pytest.importorskip("torch", reason="the oracle of windows")
    x, _ = random_operands(layer, FP32, 5)
    top, left, bottom, right = layer.padding
    padded = torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom))
    for group in range(layer.G):
        channels = padded[:, group * layer.C : (group + 1) * layer.C]
        windows = torch.nn.functional.unfold(channels, (layer.R, layer.S), layer.dilation, 0, layer.stride)
        expected = windows.transpose(1, 2).reshape(layer.positions, layer.reduction)
        np.testing.assert_array_equal(input_matrix(layer, x, group), expected.numpy())


@settings(deadline=None, max_examples=40)
@given(convolutions(3))
def test_the_input_matrix_is_what_loops_over_every_index_find(layer: Layer) -> None:
    x, _ = random_operands(layer, INT8, 1)
    for group in range(layer.G):
        matrix = input_matrix(layer, x, group).reshape(layer.N, layer.P, layer.Q, layer.C, layer.R, layer.S)
        for n, p, q, c, r, s in np.ndindex(matrix.shape):
            row = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
            col = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[1]
            inside = 0 <= row < x.shape[2] and 0 <= col < x.shape[3]
            assert matrix[n, p, q, c, r, s] == (x[n, group * layer.C + c, row, col] if inside else 0)


@pytest.mark.parametrize("fmt", names("format"))
@pytest.mark.parametrize("layer", [conv((2, 6, 5, 7), 4, 3, groups=2), linear(7, 5, 3), attention(3, 7, 5, 11)])
def test_operands_have_the_layers_shapes_in_the_formats_carrier_and_repeat_by_seed(layer: Layer, fmt: str) -> None:
    given_format = number_format(fmt)
    x, weights = random_operands(layer, given_format, 7)
    assert x.shape == (layer.input_shapes[0] if layer.kind == "conv" else (layer.G, layer.N, layer.C))
    assert weights.shape == (layer.G, layer.K, layer.C, layer.R, layer.S)
    assert x.dtype == weights.dtype == np.dtype(given_format.carrier)
    again, _ = random_operands(layer, given_format, 7)
    other, _ = random_operands(layer, given_format, 8)
    assert np.array_equal(x, again)
    assert not np.array_equal(x, other)


@pytest.mark.parametrize(("fmt", "low", "high"), [("int8", -128, 127), ("int16", -32768, 32767)])
def test_integer_operands_reach_both_ends_of_their_range(fmt: str, low: int, high: int) -> None:
    x, _ = random_operands(linear(1009, 997, 1), number_format(fmt), 0)
    assert (x.min(), x.max()) == (low, high)


@pytest.mark.parametrize(("fmt", "kept_bits"), [("bf16", 16), ("fp16", 13)])
def test_floating_operands_are_values_of_their_format(fmt: str, kept_bits: int) -> None:
    # float32 has 23 bits of mantissa: bfloat16 keeps 7 of them, binary16 10, and the rest are zero
    x, _ = random_operands(linear(97, 89, 1), number_format(fmt), 0)
    normal = x[np.abs(x) >= 2.0**-14]
    assert not np.any(normal.view(np.uint32) & ((1 << kept_bits) - 1))
    assert len(np.unique(normal)) > 100


@settings(deadline=None)
@given(layers(11), st.sampled_from(["int8", "int16"]))
def test_integer_products_are_exact_modulo_the_accumulator(layer: Layer, fmt: str) -> None:
    given_format = number_format(fmt)
    x, weights = random_operands(layer, given_format, 2)
    a, b = input_matrix(layer, x, 0), weight_matrix(layer, weights, 0)
    exact = [[sum(int(p) * int(q) for p, q in zip(row, col, strict=True)) for col in b.T] for row in a]
    modulus = 2**given_format.accumulator_bits
    found = product(a, b, given_format)
    assert found.dtype == np.dtype(given_format.accumulator)
    assert [
        [(int(one) - want) % modulus for one, want in zip(*rows, strict=True)]
        for rows in zip(found, exact, strict=True)
    ] == [[0] * b.shape[1]] * a.shape[0]


def test_int8_sums_wrap_at_32_bits() -> None:
    # 2^17 products of (-128)^2 = 2^14 sum to 2^31, one more than int32 holds
    a, b = np.full((1, 2**17), -128, np.int8), np.full((2**17, 1), -128, np.int8)
    assert product(a, b, INT8).tolist() == [[-(2**31)]]
    assert product(a[:, 1:], b[1:], INT8).tolist() == [[2**31 - 2**14]]


def test_products_of_more_rows_than_a_block_are_those_of_each_row() -> None:
    a, b = random_operands(linear(4099, 1031, 2), INT8, 0)
    assert 4099 * 1031 > 2**22
    left, right = a[0], weight_matrix(linear(4099, 1031, 2), b, 0)
    np.testing.assert_array_equal(product(left, right, INT8), left.astype(np.int64) @ right.astype(np.int64))

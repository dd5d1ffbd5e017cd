"""Shape inference against NumPy, torch and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import InputError
from hwsim.ir import NetworkBuilder, shapes
from hwsim.ir.layer import extent_used
from hwsim.units import ceil_div

SMALL = st.integers(1, 4)


@pytest.mark.parametrize(("value", "expected"), [(3, (3, 3)), ((2, 5), (2, 5)), ([2, 5], (2, 5))])
def test_a_pair_is_one_number_or_two(value: Any, expected: tuple[int, int]) -> None:
    assert shapes.pair(value, "stride") == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(3, (3, 3, 3, 3)), ((2, 5), (2, 5, 2, 5)), ((1, 2, 3, 4), (1, 2, 3, 4))]
)
def test_padding_is_one_number_or_rows_and_columns_or_four_sides(
    value: Any, expected: tuple[int, int, int, int]
) -> None:
    assert shapes.padding(value, "padding") == expected


@given(st.integers(1, 29), SMALL, SMALL, SMALL)
def test_padding_same_gives_ceil_of_input_over_stride(extent: int, taps: int, stride: int, dilation: int) -> None:
    net = NetworkBuilder("net")
    net.conv("conv", net.input("x", (1, 1, extent, extent)), 1, taps, stride=stride, padding="same", dilation=dilation)
    assert net.shape_of("conv")[2:] == (ceil_div(extent, stride),) * 2


def test_padding_same_puts_the_odd_row_at_the_end() -> None:
    # 5 rows, 4 taps, stride 1: 3 rows of padding, one before and two behind
    assert shapes.same_padding((5, 6), (4, 3), (1, 1), (1, 1)) == (1, 1, 2, 1)


@settings(deadline=None)
@given(st.integers(1, 23), st.integers(1, 23), SMALL, SMALL, SMALL, st.integers(0, 3), st.integers(0, 3))
def test_window_outputs_are_the_windows_that_fit_the_padded_input(
    rows: int, cols: int, taps: int, stride: int, dilation: int, before: int, after: int
) -> None:
    def fitting(extent: int) -> int:
        reach = dilation * (taps - 1) + 1
        return sum(1 for start in range(0, extent + before + after, stride) if start + reach <= extent + before + after)

    expected = (fitting(rows), fitting(cols))
    arguments = (
        "layer",
        (rows, cols),
        (taps, taps),
        (stride, stride),
        (dilation, dilation),
        (before, before, after, after),
    )
    if min(expected) < 1:
        with pytest.raises(InputError, match="more than its padded input"):
            shapes.window_outputs(*arguments)
    else:
        assert shapes.window_outputs(*arguments) == expected


@settings(deadline=None)
@given(st.integers(3, 19), st.integers(2, 4), SMALL, st.integers(1, 2), st.booleans())
def test_pooling_has_the_outputs_of_torch(extent: int, taps: int, stride: int, dilation: int, ceil_mode: bool) -> None:
    torch = pytest.importorskip("torch", reason="the oracle of pooled shapes")
    padding = taps // 2
    if extent + 2 * padding < dilation * (taps - 1) + 1:
        return
    net = NetworkBuilder("net")
    net.pool(
        "pool",
        net.input("x", (2, 3, extent, extent + 1)),
        taps,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    pooled = torch.nn.functional.max_pool2d(
        torch.zeros(2, 3, extent, extent + 1), taps, stride, padding, dilation, ceil_mode
    )
    assert net.shape_of("pool") == tuple(pooled.shape)


@given(st.lists(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=4).map(tuple), min_size=1, max_size=3))
def test_broadcasting_is_numpys(operands: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*operands)
    except ValueError:
        with pytest.raises(InputError, match=r"layer 'sum': shapes .* do not broadcast"):
            shapes.broadcast("sum", operands)
    else:
        assert shapes.broadcast("sum", operands) == expected


@given(
    st.lists(st.sampled_from([1, 2, 3, 6]), min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from([-1, 0, 1, 2, 3, 6]), min_size=1, max_size=3).map(tuple),
)
def test_reshaping_is_numpys(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    try:
        expected = np.zeros(shape).reshape(target).shape
    except ValueError:
        with pytest.raises(InputError, match="layer 'view'"):
            shapes.reshaped("view", shape, target)
    else:
        assert shapes.reshaped("view", shape, target) == expected


@given(
    st.integers(1, 17), st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(0, 4)
)
def test_extent_used_counts_the_rows_that_some_window_reads(
    extent: int, outputs: int, taps: int, stride: int, dilation: int, before: int
) -> None:
    read = [
        any(row == p * stride + r * dilation - before for p in range(outputs) for r in range(taps))
        for row in range(extent)
    ]
    assert extent_used(extent, outputs, taps, stride, dilation, before) == sum(read)


def test_a_stride_larger_than_the_filter_skips_inputs() -> None:
    net = NetworkBuilder("net")
    net.conv("conv", net.input("x", (2, 3, 11, 7)), 5, 1, stride=(3, 2))
    layer = net.build().layers[0]
    # rows 0 3 6 9 and columns 0 2 4 6
    assert layer.input_elements_used == 2 * 3 * 4 * 4
    assert layer.input_elements == 2 * 3 * 11 * 7

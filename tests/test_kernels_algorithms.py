"""What algorithms are said to cost, by hand and by what their kernels do."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from test_kernels import compiles_long, convolution_layer, operands, product_layer

from hwsim.errors import UsageError
from hwsim.functional.algorithms import ALGORITHMS, algorithm, candidates
from hwsim.functional.kernels import fourier, products, winograd
from hwsim.functional.operators import OPERATORS
from hwsim.ir import Kind
from hwsim.ir.minimal_filters import F2X2_3X3, F4X4_3X3, MinimalFilter


def test_minimal_filters_multiply_as_often_as_lavin_and_gray_say() -> None:
    layer = convolution_layer((1, 5, 24, 24), 7, 3, padding=1)
    # F(2x2, 3x3): 36 / 16 = 2.25 times fewer, F(4x4, 3x3): 144 / 36 = 4 times fewer
    assert layer.macs / algorithm("winograd_f2").multiplications(layer) == 2.25
    assert layer.macs / algorithm("winograd_f4").multiplications(layer) == 4
    # their Sec. 4.1: 32 additions transform a tile of data, 24 its result
    assert (F2X2_3X3.input_additions, F2X2_3X3.output_additions) == (32, 24)
    assert algorithm("winograd_f2").additions(layer) == 12 * 12 * (5 * 32 + 7 * 24)


@pytest.mark.parametrize("one", [F2X2_3X3, F4X4_3X3])
def test_minimal_filters_are_exact_in_rational_numbers(one: MinimalFilter) -> None:
    matrices = (np.array(m) for m in (one.output_matrix, one.filter_matrix, one.input_matrix))
    # output i is the sum over taps r of g[r] d[i + r]
    made = np.einsum("ip,pr,pd->ird", *matrices)
    wanted = np.zeros_like(made)
    for i in range(one.outputs):
        for tap in range(one.taps):
            wanted[i, tap, i + tap] = 1
    np.testing.assert_allclose(made, wanted, atol=1e-15)


@compiles_long
@pytest.mark.parametrize(("name", "one"), [("winograd_f2", F2X2_3X3), ("winograd_f4", F4X4_3X3)])
def test_counts_of_minimal_filtering_are_those_of_the_arrays(name: str, one: MinimalFilter) -> None:
    layer = convolution_layer((2, 5, 11, 13), 7, 3, padding=1)
    x, weights = operands(layer)
    padded = np.zeros((2, 18, 18, 5), np.float32)
    down, across = -(-11 // one.outputs), -(-13 // one.outputs)
    tiles = winograd.transformed_image(padded, down, across, one)
    filters = winograd.transformed_filters(weights[0], one)
    places, count, depth = tiles.shape
    products_of_tiles = winograd.multiplied(tiles, winograd.packed_filters(weights[0], one), 7)
    assert algorithm(name).multiplications(layer) == places * count * depth * filters.shape[2]
    assert algorithm(name).weight_words(layer) == filters.size
    assert algorithm(name).traffic_words(layer) == 2 * (tiles.size + products_of_tiles.size)
    assert x.shape == layer.input_shapes[0]


def test_counts_of_fourier_transforms_are_those_of_the_arrays() -> None:
    layer = convolution_layer((2, 5, 11, 13), 7, 3, padding=1)
    size = fourier.extents(layer)
    assert size == (16, 16)  # 13 and 15 rows and columns with the padding
    _, weights = operands(layer)
    filters = fourier.filter_spectrum(layer, weights[0], size)
    assert algorithm("fft").weight_words(layer) == 2 * filters.size == 2 * 16 * 9 * 5 * 7
    # 4 per complex product and 256 log2 256 for each of 2 (5 + 7) transforms
    assert algorithm("fft").multiplications(layer) == 4 * 16 * 9 * 2 * 5 * 7 + 24 * 256 * 8


def test_strassen_multiplies_seven_times_where_eight_products_were() -> None:
    layer, strassen = product_layer(4096, 4096, 4096), algorithm("strassen")
    # 4096 to 2048 to 1024, the cut-over
    assert strassen.multiplications(layer) == 49 * 1024**3
    assert strassen.additions(layer) == 18 * 2048**2 + 7 * 18 * 1024**2
    assert strassen.multiplications(product_layer(2047, 2048, 2048)) == 2047 * 2048 * 2048


def test_strassen_counts_what_its_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def counting(a: Any, b: Any) -> Any:
        done.append(a.shape[0] * a.shape[1] * b.shape[1])
        return np.zeros((len(a), b.shape[1]), np.float32)

    monkeypatch.setattr(products, "blocked", counting)
    products.strassen(np.ones((2053, 2111), np.float32), np.ones((2111, 2081), np.float32))
    assert sum(done) == algorithm("strassen").multiplications(product_layer(2053, 2111, 2081))
    assert len(done) == 7


def test_unrolling_writes_and_reads_each_window() -> None:
    layer = convolution_layer((1, 5, 11, 13), 7, 3, padding=1)
    assert algorithm("im2col").traffic_words(layer) == 2 * (11 * 13) * (5 * 3 * 3)
    assert algorithm("direct").traffic_words(layer) == 0


def test_candidates_are_those_that_can() -> None:
    names = {one.name for one in candidates(convolution_layer((1, 5, 11, 13), 7, 3))}
    assert names == {"direct", "im2col", "winograd_f2", "winograd_f4", "fft"}
    assert {one.name for one in candidates(convolution_layer((1, 5, 11, 13), 7, 3, stride=2), "int8")} == {
        "direct",
        "im2col",
    }
    assert {one.name for one in candidates(product_layer(3, 5, 7), "binary")} == {"xnor"}
    single = convolution_layer((1, 5, 11, 13), 5, 3, groups=5)
    assert {"depthwise", "separable"} < {one.name for one in candidates(single)}


def test_an_unknown_algorithm_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no algorithm named 'winograd_f3'; did you mean 'winograd_f"):
        algorithm("winograd_f3")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_its_kernel_and_its_source(name: str) -> None:
    assert callable(algorithm(name).compute)
    assert algorithm(name).source


def test_every_kind_of_layer_has_its_values() -> None:
    # changes of layout depend on other layers and are computed apart; the unsupported are refused by name
    assert set(OPERATORS) == set(Kind) - {Kind.RESHAPE, Kind.UNSUPPORTED}


def test_costs_are_known_without_numba_and_numpy() -> None:
    code = "import sys, hwsim.functional.algorithms; print([m for m in ('numpy', 'numba') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]"

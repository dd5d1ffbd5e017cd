"""Kernels of convolutions and matrix products in float32, against torch and against their own bounds of error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.functional.algorithms import ALGORITHMS, algorithm
from hwsim.functional.kernels import convolution, products, separable, winograd
from hwsim.ir import Layer, NetworkBuilder
from hwsim.ir.minimal_filters import F4X4_3X3

Array = NDArray[Any]

LIKE_TORCH = 1e-5
"""Largest error, in parts of the largest output, of every algorithm but one."""

F4_LIKE_TORCH = 5e-5
"""That of F(4x4, 3x3), whose transforms multiply by up to 8 and cancel."""

quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
compiles_long = pytest.mark.slow
"""Kernels that no other test needs, and that take seconds to compile where numba's cache is empty."""

primes = st.sampled_from((1, 2, 3, 5, 7, 11))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Compute on one thread: operands are small, and on a busy machine threads wait longer than they compute."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


def convolution_layer(shape: tuple[int, int, int, int], channels: int, kernel: Any, **options: Any) -> Layer:
    net = NetworkBuilder("one")
    net.conv("conv", net.input("x", shape), channels, kernel, **options)
    return net.build().layers[0]


def product_layer(rows: int, depth: int, cols: int) -> Layer:
    net = NetworkBuilder("one")
    net.linear("fc", net.input("x", (rows, depth)), cols)
    return net.build().layers[0]


def operands(layer: Layer, seed: int = 3) -> tuple[Array, Array]:
    """Return x (N, G C, H, W) and weights (G, K, C, R, S), standard normal."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(layer.input_shapes[0], dtype=np.float32)
    return x, generator.standard_normal((layer.G, layer.K, layer.C, layer.R, layer.S), dtype=np.float32)


def exact(layer: Layer, x: Array, weights: Array) -> Array:
    """Return torch's convolution in float64."""
    torch: Any = pytest.importorskip("torch", reason="torch is the oracle of convolutions")
    top, left, bottom, right = layer.padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    flat = weights.astype(np.float64).reshape(-1, *weights.shape[2:])
    result: Array = torch.nn.functional.conv2d(
        torch.tensor(padded), torch.tensor(flat), stride=layer.stride, dilation=layer.dilation, groups=layer.G
    ).numpy()
    return result


def assert_within(name: str, layer: Layer, found: Array, x: Array, weights: Array) -> None:
    """Check a result against torch's relative to the largest output, and against the algorithm's own bound."""
    expected = exact(layer, x, weights)
    error = float(np.abs(found - expected).max())
    assert found.dtype == np.float32
    assert found.shape == expected.shape == layer.output_shape
    scale = float(np.abs(expected).max())
    # where hardly anything is summed outputs can all be small by chance, and errors are of what was summed
    terms = float(np.abs(weights).sum(axis=(2, 3, 4)).max())
    assert error <= (F4_LIKE_TORCH if name == "winograd_f4" else LIKE_TORCH) * max(scale, terms)
    assert error <= algorithm(name).error_bound(layer, float(np.abs(x).max()), terms)


@st.composite
def convolutions(draw: st.DrawFn) -> Layer:
    """Draw a convolution of prime sizes, with any stride, dilation, padding and groups."""
    groups, size = draw(st.sampled_from((1, 2, 3))), st.integers(1, 4)
    kernel, stride, dilation = ((draw(size), draw(size)) for _ in range(3))
    rows, cols = (d * (taps - 1) + draw(primes) for taps, d in zip(kernel, dilation, strict=True))
    padding = tuple(draw(st.integers(0, 3)) for _ in range(4))
    shape = (draw(st.integers(1, 2)), groups * draw(primes), rows, cols)
    return convolution_layer(
        shape, groups * draw(primes), kernel, stride=stride, dilation=dilation, padding=padding, groups=groups
    )


@quickly
@given(convolutions())
@pytest.mark.parametrize("name", ["direct", "im2col", "fft"])
def test_every_convolution_is_torch_s(name: str, layer: Layer) -> None:
    x, weights = operands(layer)
    assert_within(name, layer, algorithm(name).compute(layer, x, weights), x, weights)


@compiles_long
@quickly
@given(st.integers(1, 2), primes, st.integers(3, 17), st.integers(3, 17), primes, st.integers(0, 2), st.booleans())
@pytest.mark.parametrize("name", ["winograd_f2", "winograd_f4"])
def test_minimal_filtering_is_torch_s(
    name: str, n: int, c: int, h: int, w: int, k: int, padding: int, grouped: bool
) -> None:
    groups = 2 if grouped else 1
    layer = convolution_layer((n, groups * c, h, w), groups * k, 3, padding=(padding, 1, 0, padding), groups=groups)
    x, weights = operands(layer)
    assert_within(name, layer, algorithm(name).compute(layer, x, weights), x, weights)


@quickly
@given(primes, st.integers(5, 13), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(1, 5))
@pytest.mark.parametrize("name", ["depthwise", "separable"])
def test_filters_of_single_channels_are_torch_s(
    name: str, channels: int, size: int, stride: int, dilation: int, padding: int, cols: int
) -> None:
    assume(size + 2 * padding > dilation * (max(3, cols) - 1))
    options: dict[str, Any] = {"stride": (stride, 1), "dilation": dilation, "padding": padding, "groups": channels}
    layer = convolution_layer((2, channels, size, size + 2), channels, (3, cols), **options)
    x, weights = operands(layer)
    if name == "separable":
        weights = weights[..., :1] * weights[..., :1, :]
    assert_within(name, layer, algorithm(name).compute(layer, x, weights), x, weights)


@compiles_long
def test_f4_loses_more_digits_than_f2() -> None:
    layer = convolution_layer((1, 61, 29, 31), 17, 3, padding=1)
    x, weights = operands(layer)
    expected = exact(layer, x, weights)
    f2, f4 = (
        float(np.abs(algorithm(name).compute(layer, x, weights) - expected).max())
        for name in ("winograd_f2", "winograd_f4")
    )
    assert 2 * f2 < f4


@compiles_long
def test_a_tile_of_f4_by_hand() -> None:
    # x[p, q] = p + 2 q under a filter of ones: nine elements around each (p + 1, q + 1), 9 (p + 1) + 18 (q + 1)
    layer = convolution_layer((1, 1, 6, 6), 1, 3)
    x = (np.arange(6)[:, None] + 2 * np.arange(6)).astype(np.float32)[None, None]
    found = winograd.f4x4_3x3(layer, x, np.ones((1, 1, 1, 3, 3), np.float32))
    hand = 9 * (np.arange(4)[:, None] + 1) + 18 * (np.arange(4) + 1)
    np.testing.assert_allclose(found[0, 0], hand, rtol=1e-5)
    assert winograd.transformed_filters(np.ones((1, 1, 3, 3), np.float32), F4X4_3X3)[7, 0, 0] == np.float32(1 / 4)


@quickly
@given(st.integers(1, 67), st.integers(1, 67), st.integers(1, 67), st.integers(5, 11))
def test_strassen_s_product_is_within_its_bound(rows: int, depth: int, cols: int, cut_over: int) -> None:
    generator = np.random.default_rng(5)
    a = generator.standard_normal((rows, depth), dtype=np.float32)
    b = generator.standard_normal((depth, cols), dtype=np.float32)
    error = float(np.abs(products.strassen(a, b, cut_over) - a.astype(np.float64) @ b.astype(np.float64)).max())
    levels, halved = 0, depth
    while min(rows, halved, cols) >= 2 * cut_over:
        rows, halved, cols, levels = -(-rows // 2), -(-halved // 2), -(-cols // 2), levels + 1
    # Higham, Theorem 23.2: (n / n0)^log2(12) (n0^2 + 5 n0) - 5 n, with n / n0 = 2^levels
    growth = 12**levels * (halved**2 + 5 * halved) if levels else halved**2
    assert error <= growth * 2.0**-24 * float(np.abs(a).max() * np.abs(b).max())


@quickly
@given(st.integers(1, 67), st.integers(1, 601), st.integers(1, 67))
def test_the_blocked_product_is_numpy_s(rows: int, depth: int, cols: int) -> None:
    generator = np.random.default_rng(5)
    a = generator.standard_normal((rows, depth), dtype=np.float32)
    b = generator.standard_normal((depth, cols), dtype=np.float32)
    np.testing.assert_allclose(products.blocked(a, b), a.astype(np.float64) @ b, rtol=0, atol=LIKE_TORCH * depth)
    assert np.array_equal(products.blocked(a, b), products.blocked(a, np.asfortranarray(b)))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one.name, marks=[compiles_long] if one.function.startswith("winograd") else [])
        for one in ALGORITHMS.values()
        if "float32" in one.carriers
    ],
)
def test_one_thread_and_two_give_the_same_bits(name: str) -> None:
    single = name in ("depthwise", "separable")
    layer = convolution_layer((2, 7, 13, 11), 7, 3, padding=1, groups=7 if single else 1)
    x, weights = operands(layer)
    arguments: tuple[Any, ...] = (layer, x, weights[..., :1] * weights[..., :1, :])
    if name in ("blocked", "strassen"):
        arguments = (x.reshape(-1, 11), weights.reshape(-1)[: 11 * 37].reshape(11, 37))
    alone = algorithm(name).compute(*arguments)
    try:
        numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
        assert algorithm(name).compute(*arguments).tobytes() == alone.tobytes()
    finally:
        numba.set_num_threads(1)


def test_what_a_kernel_cannot_do_is_refused() -> None:
    layer = convolution_layer((1, 4, 9, 9), 4, 3, stride=2)
    x, weights = operands(layer)
    with pytest.raises(InputError, match="layer 'conv' has 3 x 3 filters of float32, stride"):
        winograd.f2x2_3x3(layer, x, weights)
    with pytest.raises(InputError, match="not its own"):
        convolution.direct(layer, x[:, :3], weights)
    with pytest.raises(InputError, match="no product of float64 by float32"):
        convolution.direct(layer, x.astype(np.float64), weights)
    with pytest.raises(InputError, match="no convolution but a matmul"):
        convolution.im2col(product_layer(2, 3, 5), x, weights)
    with pytest.raises(InputError, match="sums 4 channels into 4"):
        convolution.depthwise(layer, x, weights)
    single = convolution_layer((1, 4, 9, 9), 4, 3, groups=4)
    with pytest.raises(InputError, match="no outer products"):
        separable.convolved(single, *operands(single))

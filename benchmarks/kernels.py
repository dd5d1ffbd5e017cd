"""Measures the kernels of `hwsim.functional` beside NumPy and onnxruntime, and prints ratios; one core.

Run as `python benchmarks/kernels.py`, or with some of `binary`, `layers`, `algorithms`. Compilation and the packing of
weights are not counted, except where that is said. Equality and counts are asserted, times are not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # read when the libraries are imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from hwsim import catalog  # noqa: E402
from hwsim.functional.algorithm_costs import STRASSEN_CUT_OVER, UNIT_ROUNDOFF  # noqa: E402
from hwsim.functional.algorithms import Algorithm, candidates  # noqa: E402
from hwsim.functional.kernels import amx, binary, convolution, fourier, int8, winograd  # noqa: E402
from hwsim.functional.kernels.memory import aligned  # noqa: E402
from hwsim.ir import Kind, Layer, NetworkBuilder  # noqa: E402
from hwsim.ir.minimal_filters import F2X2_3X3, F4X4_3X3  # noqa: E402

Array = NDArray[Any]

SIDE = 2048
ZERO_POINT = 128
LONG_ENOUGH_S, MOST_REPEATS = 0.2, 30
LIKE_ONNXRUNTIME = 1e-5


def seconds(run: Callable[[], object]) -> float:
    """Return the median time of `run`, once it is compiled and its memory is touched."""
    run()
    taken: list[float] = []
    while len(taken) < 5 or (sum(taken) < LONG_ENOUGH_S and len(taken) < MOST_REPEATS):
        started = perf_counter()
        run()
        taken.append(perf_counter() - started)
    return median(taken)


def binary_products() -> None:
    """Print how much faster than NumPy's fp32 product that of the same shape in binary is."""
    generator = np.random.default_rng(1)
    a, b = (generator.choice(np.array([-1, 1], np.float32), (SIDE, SIDE)) for _ in range(2))
    x, w = binary.packed(a), binary.packed(b)
    y, reference = aligned(SIDE * SIDE, np.int32).reshape(SIDE, SIDE), np.empty((SIDE, SIDE), np.float32)
    dense = seconds(lambda: np.matmul(a, b.T, out=reference))
    print(f"product of {SIDE} x {SIDE} matrices, one core; NumPy in fp32 {1e3 * dense:.1f} ms; asked are 15 times less")
    ways: list[tuple[str, Any, Any]] = [("XNOR and counting ones", binary.columns_for_counting, binary.counted)]
    if amx.is_available():
        ways.append(("spread to bytes, matrix unit", binary.columns_for_tiles, binary.in_tiles))
    for name, columns_of, multiply in ways:
        columns = columns_of(w)
        alone = seconds(lambda multiply=multiply, columns=columns: multiply(x, columns, SIDE, y))  # type: ignore[misc]
        both = seconds(lambda multiply=multiply, of=columns_of: multiply(x, of(w), SIDE, y))  # type: ignore[misc]
        assert np.array_equal(y, reference.astype(np.int32))
        print(
            f"  {name:<30} {1e3 * alone:6.2f} ms, {dense / alone:5.1f} times;"
            f" with the arrangement of one side's bits {1e3 * both:6.2f} ms, {dense / both:5.1f} times"
        )
    packing = seconds(lambda: binary.packed(a))
    print(f"  packing fp32 to bits takes {1e3 * packing:.2f} ms for one matrix, and comes on top")


@dataclass(frozen=True)
class Case:
    """A convolution with its operands, images channels last, and filters packed."""

    layer: Layer
    x: Array
    channels_last: Array
    weights: Array
    filters: convolution.Filters
    y: Array

    def run(self, windows_of: Callable[[Layer, Array], convolution.Windows]) -> None:
        """Compute y (positions, K), padding and unrolling included."""
        padded = convolution.image(self.layer, self.channels_last, 0, self.filters.zero)
        convolution.multiply(windows_of(self.layer, padded), self.filters, self.y, 0)

    def whole(self) -> Array:
        """Return the result from channels first to channels first."""
        padded = convolution.image(self.layer, self.x, 0, self.filters.zero)
        convolution.multiply(convolution.in_place(self.layer, padded), self.filters, self.y, 0)
        return convolution.channels_first(self.layer, self.y)


def case(layer: Layer, integer: bool) -> Case:
    """Return a layer of one group on seeded operands."""
    generator, shape = np.random.default_rng(2), (layer.G, layer.K, layer.C, layer.R, layer.S)
    x: Array
    weights: Array
    if integer:
        x = generator.integers(0, 256, layer.input_shapes[0], dtype=np.uint8)
        weights = generator.integers(-128, 128, shape, dtype=np.int8)
    else:
        x = generator.standard_normal(layer.input_shapes[0], dtype=np.float32)
        weights = generator.standard_normal(shape, dtype=np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    filters = convolution.filters(layer, weights[0], ZERO_POINT if integer else 0)
    y = np.empty((layer.positions, layer.K), np.int32 if integer else np.float32)
    return Case(layer, x, last, weights, filters, y)


def session(operator: str, one: Case) -> Any:
    """Return onnxruntime's session of one operator and one thread: "Conv", "ConvInteger" or "QLinearConv"."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    layer = one.layer
    zero, zero_w = np.array(ZERO_POINT, np.uint8), np.array(0, np.int8)
    constants: dict[str, Array] = {"w": one.weights.reshape(layer.G * layer.K, *one.weights.shape[2:])}
    if operator == "ConvInteger":
        constants |= {"zero": zero}
    names = ["x", *constants]
    if operator == "QLinearConv":
        scale, scale_y = np.array(1, np.float32), np.array(scale_of(layer), np.float32)
        constants |= {"scale": scale, "zero": zero, "zero_w": zero_w, "scale_y": scale_y}
        names = ["x", "scale", "zero", "w", "scale", "zero_w", "scale_y", "zero"]
    types = {
        "Conv": (TensorProto.FLOAT, TensorProto.FLOAT),
        "ConvInteger": (TensorProto.UINT8, TensorProto.INT32),
        "QLinearConv": (TensorProto.UINT8, TensorProto.UINT8),
    }
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], strides=layer.stride, pads=layer.padding, dilations=layer.dilation)],
        "one",
        [helper.make_tensor_value_info("x", types[operator][0], layer.input_shapes[0])],
        [helper.make_tensor_value_info("y", types[operator][1], layer.output_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def scale_of(layer: Layer) -> float:
    """Return a scale of results that uses most of their 8 bits."""
    return float(np.sqrt(layer.reduction)) * 100


def layers_of_resnet() -> list[Layer]:
    """Return ResNet-50's convolutions, one of each shape."""
    found: dict[Any, Layer] = {}
    for layer in catalog.network("resnet:depth=50").layers:
        if layer.kind is Kind.CONV:
            found.setdefault((layer.input_shapes, layer.output_shape, layer.R, layer.S, layer.stride), layer)
    return list(found.values())


def beside_onnxruntime() -> None:
    """Print the times of all layers over onnxruntime's, in fp32 and int8."""
    columns = ("direct", "im2col", "direct*", "int8", "im2col", "direct*", "+scale", "im2col+")
    print("\nResNet-50's convolutions over onnxruntime's, both one thread; asked are at most 3")
    print("  fp32 over Conv; int8 to 32-bit sums over ConvInteger; scaled to 8 bits over QLinearConv")
    print("  * from and to channels first; without it channels last, as layers behind each other keep them")
    print(f"  {'':<20}" + "".join(f"{name:>9}" for name in columns))
    ratios = []
    for layer in layers_of_resnet():
        row = [*ratios_fp32(case(layer, False)), *ratios_int8(case(layer, True))]
        ratios.append(row)
        print(f"  {layer.name:<20}" + "".join(f"{ratio:9.2f}" for ratio in row))
    for name, of in (("median", median), ("largest", max)):
        print(f"  {name:<20}" + "".join(f"{of(column):9.2f}" for column in zip(*ratios, strict=True)))


def ratios_fp32(one: Case) -> list[float]:
    """Return the times of direct, im2col and the direct one from channels first over that of Conv."""
    oracle = session("Conv", one)
    expected = oracle.run(None, {"x": one.x})[0]
    assert np.abs(one.whole() - expected).max() <= LIKE_ONNXRUNTIME * np.abs(expected).max()
    theirs = seconds(lambda: oracle.run(None, {"x": one.x}))
    ours = [seconds(lambda: one.run(convolution.in_place)), seconds(lambda: one.run(convolution.unrolled))]
    return [time / theirs for time in (*ours, seconds(one.whole))]


def ratios_int8(one: Case) -> list[float]:
    """Return the same three over ConvInteger, and direct and im2col with scaling to 8 bits over QLinearConv."""
    sums, scaled = session("ConvInteger", one), session("QLinearConv", one)
    expected = sums.run(None, {"x": one.x})[0]
    for windows_of in (convolution.in_place, convolution.unrolled):
        one.run(windows_of)
        assert np.array_equal(convolution.channels_first(one.layer, one.y), expected)
    factor, y = np.full(one.layer.K, 1 / scale_of(one.layer), np.float32), np.empty(one.y.shape, np.uint8)

    def to_8_bits(windows_of: Any) -> None:
        one.run(windows_of)
        int8.requantise(one.y, factor, y)

    theirs, quantised = (seconds(lambda of=of: of.run(None, {"x": one.x})) for of in (sums, scaled))  # type: ignore[misc]
    direct, im2col = (seconds(lambda of=of: one.run(of)) for of in (convolution.in_place, convolution.unrolled))  # type: ignore[misc]
    both = [seconds(lambda of=of: to_8_bits(of)) for of in (convolution.in_place, convolution.unrolled)]  # type: ignore[misc]
    against = scaled.run(None, {"x": one.x})[0].transpose(0, 2, 3, 1).reshape(y.shape).astype(np.int16)
    assert np.abs(against - y).max() <= 1  # a half may be rounded either way
    return [*(time / theirs for time in (direct, im2col, seconds(one.whole))), *(time / quantised for time in both)]


def convolution_layer(channels: int, size: int, kernel: int) -> Layer:
    """Return a convolution of as many channels as it gives, padded to keep its size."""
    net = NetworkBuilder("one")
    net.conv("conv", net.input("x", (1, channels, size, size)), channels, kernel, padding="same")
    return net.build().layers[0]


def algorithms() -> None:
    """Print multiplications, time and error of every algorithm on a few layers, images channels first."""
    print(
        "\nalgorithms of a convolution: multiplications, and additions of transforms, over MACs; words between passes"
    )
    print("over those of image, weights and result; ms, and those of them that prepare weights; error over the largest")
    print("output, and over the proved bound")
    for layer in (convolution_layer(64, 56, 3), convolution_layer(256, 14, 3), convolution_layer(64, 28, 7)):
        print(f"  {layer.C} channels of {layer.P} x {layer.Q}, filters {layer.R} x {layer.S}")
        for one in candidates(layer):
            print(described(layer, one))
    strassen()


def described(layer: Layer, one: Algorithm) -> str:
    """Return the line of an algorithm on a layer of one group."""
    generator = np.random.default_rng(3)
    x = generator.standard_normal(layer.input_shapes[0], dtype=np.float32)
    weights = generator.standard_normal((1, layer.K, layer.C, layer.R, layer.S), dtype=np.float32)
    exact, words = convolution_in_float64(layer, x, weights), 2 * x.size + weights.size
    error = float(np.abs(one.compute(layer, x, weights) - exact).max())
    bound = one.error_bound(layer, float(np.abs(x).max()), float(np.abs(weights).sum(axis=(2, 3, 4)).max()))
    assert error <= bound
    preparing = seconds(lambda: PREPARATIONS[one.name](layer, weights[0]))
    computing = seconds(lambda: one.compute(layer, x, weights))
    counts = (one.multiplications(layer) / layer.macs, one.additions(layer) / layer.macs)
    return (
        f"    {one.name:<12}{counts[0]:7.3f}{counts[1]:7.3f}{one.traffic_words(layer) / words:7.2f}"
        f"{1e3 * computing:9.2f}{1e3 * preparing:9.2f}{error / np.abs(exact).max():10.1e}{error / bound:10.1e}"
    )


PREPARATIONS: dict[str, Callable[[Layer, Array], object]] = {
    "direct": lambda layer, weights: convolution.filters(layer, weights, 0),
    "im2col": lambda layer, weights: convolution.filters(layer, weights, 0),
    "winograd_f2": lambda layer, weights: winograd.packed_filters(weights, F2X2_3X3),
    "winograd_f4": lambda layer, weights: winograd.packed_filters(weights, F4X4_3X3),
    "fft": lambda layer, weights: fourier.filter_spectrum(layer, weights, fourier.extents(layer)),
}
"""What each does with weights of one group before it sees an image."""


def convolution_in_float64(layer: Layer, x: Array, weights: Array) -> Array:
    """Return the convolution in float64, by NumPy."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *((one, one) for one in layer.padding[:2])))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.R, layer.S), axis=(2, 3))
    matrix = windows.transpose(0, 2, 3, 1, 4, 5).reshape(layer.positions, -1)
    result = matrix @ weights[0].reshape(layer.K, -1).T.astype(np.float64)
    return np.ascontiguousarray(result.reshape(layer.N, layer.P, layer.Q, -1).transpose(0, 3, 1, 2))


def strassen() -> None:
    """Print Strassen's product beside the blocked one."""
    generator = np.random.default_rng(4)
    a, b = (generator.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    net = NetworkBuilder("one")
    net.linear("fc", net.input("x", (SIDE, SIDE)), SIDE)
    print(f"  product of {SIDE} x {SIDE} matrices; blocked below {STRASSEN_CUT_OVER}")
    layer = net.build().layers[0]
    for one in candidates(layer):
        error = np.abs(one.compute(a, b) - exact).max()
        assert error <= one.error_bound(layer, np.abs(a).max(), np.abs(b).sum(axis=0).max())
        time = seconds(lambda one=one: one.compute(a, b))  # type: ignore[misc]
        print(
            f"    {one.name:<12}{one.multiplications(layer) / layer.macs:7.3f}{one.additions(layer) / layer.macs:7.3f}"
            f"{'':7}{1e3 * time:9.2f}{error / np.abs(exact).max():10.1e}  = {error / UNIT_ROUNDOFF:.0f} u"
        )


PARTS = {"binary": binary_products, "layers": beside_onnxruntime, "algorithms": algorithms}


def main() -> None:
    """Print all of it, or the parts that are named."""
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()

"""Values in number formats: noise of the size that theory gives, whole sums exact, nothing changed that need not be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf, log10
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hwsim
from hwsim import Network, NetworkBuilder, catalog
from hwsim.errors import UsageError
from hwsim.functional import calibration, fixed_point
from hwsim.functional.agreement import Outputs, Row, compared, decibels
from hwsim.functional.calibration import Choices
from hwsim.quantise import quantise, requantised

Array = NDArray[Any]


def values(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def product(x: Array, weight: Array, **tensors: Array) -> Network:
    """Return x -> fc with these weights (K, C)."""
    net = NetworkBuilder("product")
    net.linear("fc", net.input("x", x.shape), len(weight))
    return net.build(tensors={"fc.weight": weight, **{f"fc.{name}": one for name, one in tensors.items()}})


def run(
    network: Network,
    fmt: str | Mapping[str, str],
    x: Array,
    seen: Array | None = None,
    choices: Choices | None = None,
    unstored: Collection[str] = (),
) -> tuple[Mapping[str, Row], Outputs]:
    """Return the columns of the layers and the outputs; a mapping has "" for all layers without an own format."""
    inputs = [{"x": x}]
    wanted = {"": fmt} if isinstance(fmt, str) else fmt
    formats = {name: catalog.number_format(one) for name, one in wanted.items()}
    calibrated = inputs if seen is None else [{"x": seen}]
    chosen = choices or Choices()
    return compared(network, lambda name: formats.get(name, formats[""]), unstored, inputs, calibrated, chosen)


def sqnr_db(fmt: str, x: Array, weight: Array, choices: Choices | None = None) -> float:
    return float(run(product(x, weight), fmt, x, choices=choices)[0]["fc"]["sqnr_db"])


def test_noise_of_an_int8_product_is_that_of_its_three_roundings() -> None:
    x, weight = values(1, 127, 509), values(2, 131, 509)
    y = x @ weight.T
    # rounding to steps of D adds D^2 / 12; relative powers of x, w and y add up
    steps = (np.ptp(x) / 255, np.abs(weight).max() / 127, np.ptp(y) / 255)
    noise = sum(step**2 / 12 / one.var() for step, one in zip(steps, (x, weight, y), strict=True))
    found = sqnr_db("int8", x, weight, Choices(weight_scales="tensor"))
    assert found == pytest.approx(-10 * log10(noise), abs=0.2)


def test_one_rounding_of_gaussian_values_gives_six_decibels_per_bit() -> None:
    x = values(3, 100_003)
    for name, bits in (("int4", 4), ("int8", 8), ("int16", 16)):
        how = calibration.activations(x, catalog.number_format(name), "max")
        noise = float(np.square(requantised(x, how) - x, dtype=np.float64).mean())
        # 2^b steps over a range of -R to R: 10 log10(12 s^2 / (2 R / 2^b)^2) = 6.02 b + 4.77 - 20 log10(R / s)
        expected = 6.02 * bits + 4.77 - 20 * log10(np.ptp(x) / 2 / x.std())
        assert decibels(float(np.square(x).mean()), noise) == pytest.approx(expected, abs=0.6 if bits == 4 else 0.1)


def test_three_bits_of_mantissa_are_worth_18_decibels() -> None:
    x, weight = values(1, 127, 211), values(2, 131, 211)
    fp16, bf16 = sqnr_db("fp16", x, weight), sqnr_db("bf16", x, weight)
    assert fp16 - bf16 == pytest.approx(3 * 6.02, abs=0.5)  # 10 and 7 bits
    assert sqnr_db("tf32", x, weight) == pytest.approx(fp16, abs=3.1)  # as many bits, of operands alone


@pytest.mark.parametrize("spec", ["mlp:hidden=13,inputs=7,classes=5", "lstm:hidden=13,inputs=7,steps=5", "attention"])
def test_fp32_is_fp32(spec: str) -> None:
    found = hwsim.simulate(spec, format="fp32", functional=True)
    assert {row["sqnr_db"] for row in found.rows} == {inf}
    assert {row["saturated_fraction"] for row in found.rows} == {0.0}
    assert (found.total["top1_agreement"], found.total["top5_agreement"]) == (1, 1)
    assert found.as_dict()["total"]["output_sqnr_db"] == "Infinity"


@pytest.mark.parametrize(("fmt", "least_db"), [("int8", 20), ("bf16", 30), ("int16", 60), ("fp16", 45)])
@pytest.mark.parametrize("spec", ["lstm:hidden=13,inputs=7,steps=5", "gru:hidden=13,inputs=7,steps=5", "attention"])
def test_recurrent_layers_and_attention_keep_their_values(spec: str, fmt: str, least_db: float) -> None:
    assert hwsim.simulate(spec, format=fmt, functional=True).total["output_sqnr_db"] > least_db


def test_whole_sums_are_exact() -> None:
    x, weight, bias = values(1, 3, 2003), values(2, 5, 2003), values(3, 5)
    net = product(x, weight, bias=bias)
    _, outputs = run(net, "int8", x, unstored={"fc"})
    step = np.float32((x.max() * calibration.ROOM - x.min() * calibration.ROOM) / 255)
    zero = round(-128 - float(x.min() * calibration.ROOM) / float(step))
    scales = np.abs(weight).max(1) / np.float32(127)
    x_q = np.clip(np.rint(x / step) + zero, -128, 127).astype(int).tolist()
    w_q = np.rint(weight / scales[:, None]).astype(int).tolist()
    for n, row in enumerate(x_q):
        for k, column in enumerate(w_q):
            scale = float(step) * float(scales[k])
            total = sum((a - zero) * b for a, b in zip(row, column, strict=True)) + round(float(bias[k]) / scale)
            assert outputs.found[0][n, k] == np.float32(total * scale)


def test_values_beyond_the_range_that_was_seen_are_counted() -> None:
    seen, x = np.array([[1, -1, 0.5, 0.25]], np.float32), np.array([[2, -3, 0.5, 0.25]], np.float32)
    rows, outputs = run(product(x, np.eye(4, dtype=np.float32)), "int8", x, seen)
    # the layer brings 4 inputs to int8, of which 2 are beyond, and 4 results, which then are not
    assert rows["fc"]["saturated_fraction"] == 2 / 8
    np.testing.assert_allclose(outputs.found[0], [[1, -1, 0.5, 0.25]], atol=2 / 255)
    # noise (2 - 1)^2 + (-3 + 1)^2 of a signal of 4 + 9 + 0.25 + 0.0625
    assert rows["fc"]["sqnr_db"] == pytest.approx(10 * log10(13.3125 / 5), abs=0.1)


def test_what_overflows_fp16_is_infinite_and_its_noise_too() -> None:
    x = np.array([[70_000, 1]], np.float32)
    rows, _ = run(product(x, np.eye(2, dtype=np.float32)), "fp16", x)
    # one input of two; then both results, infinity times 0 being no number
    assert rows["fc"] == {"sqnr_db": -inf, "saturated_fraction": (1 + 1) / 4}


def test_products_of_fixed_point_are_rounded_one_by_one() -> None:
    a, b = np.array([[3, 3, 7]]), np.array([[5], [5], [-1]])
    # 15 / 2 and 15 / 2 and -7 / 2 to the nearest, ties upward; the sum 23 / 2 would be 12
    assert fixed_point.multiply(a, b, 1).tolist() == [[8 + 8 - 3]]
    assert fixed_point.multiply(a, b, 0).tolist() == [[23]]
    stacked = fixed_point.multiply(np.broadcast_to(a, (2, 3, 1, 3)), b, 0)
    assert stacked.shape == (2, 3, 1, 1)


def test_sums_of_16_bits_wrap_and_are_counted() -> None:
    seen = np.array([[1, -1, 1, -1, 1, -1, 1]], np.float32)
    x, weight = np.ones((1, 7), np.float32), np.ones((1, 7), np.float32)
    rows, outputs = run(product(x, weight), "fixed16", x, seen, unstored={"fc"})
    # 1 was the largest sum, so that 16 bits with a spare one hold -4 to 4: 7 becomes 7 - 8
    assert outputs.found[0] == -1
    assert rows["fc"]["saturated_fraction"] == 1 / 8


@pytest.mark.parametrize(("fmt", "before", "after"), [("fp32", inf, inf), ("int8", inf, 0)])
def test_a_layer_s_own_format_changes_nothing_before_it(fmt: str, before: float, after: float) -> None:
    x, net = values(1, 3, 7), NetworkBuilder("chain")
    one = net.activation("relu", net.linear("one", net.input("x", x.shape), 11))
    net.linear("three", net.linear("two", one, 13), 17)
    rows, _ = run(net.build(), {"": "fp32", "two": fmt}, x)
    found = [rows[name]["sqnr_db"] for name in ("one", "relu", "two", "three")]
    assert found[:2] == [before, before]
    assert all(one == inf if after == inf else 20 < one < inf for one in found[2:])


def test_a_format_of_two_levels_leaves_the_scores_as_they_were_summed() -> None:
    x, net = values(1, 3, 19), NetworkBuilder("scores")
    net.softmax("softmax", net.linear("fc", net.linear("hidden", net.input("x", x.shape), 23), 17))
    network = net.build()
    _, outputs = run(network, "binary", x)
    assert len(np.unique(outputs.found[0])) > 3 * 17 / 2
    hidden, _ = run(network, {"": "fp32", "hidden": "binary"}, x)
    assert hidden["hidden"]["sqnr_db"] < 10


def test_channels_of_different_size_want_scales_of_their_own() -> None:
    x, weight = values(1, 31, 127), values(2, 13, 127) * np.geomspace(1, 1e-3, 13, dtype=np.float32)[:, None]
    by_channel = calibration.weights(weight, catalog.number_format("int8"), 0, "channel")
    by_tensor = calibration.weights(weight, catalog.number_format("int8"), 0, "tensor")
    last = [np.square(made[-1] * how.scale.flat[-1] - weight[-1]).sum() for made, how in (by_channel, by_tensor)]
    assert last[0] < last[1] / 1000
    assert sqnr_db("int8", x, weight) > sqnr_db("int8", x, weight, Choices(weight_scales="tensor"))


def test_scales_by_least_error_cut_rare_values_where_bits_are_few() -> None:
    x, fmt = values(1, 20_011), catalog.number_format("int4")
    x[::4001] *= 5
    errors, spans = {}, {}
    for method in calibration.METHODS:
        how = calibration.activations(x, fmt, method)
        errors[method], spans[method] = float(np.square(requantised(x, how) - x).mean()), float(how.scale) * 15
    assert errors["mse"] < errors["percentile"] <= errors["max"]
    assert spans["max"] == pytest.approx(np.ptp(x), rel=1e-5)
    assert spans["mse"] < spans["percentile"] <= spans["max"]
    with pytest.raises(UsageError, match="no scales named 'maxx'; did you mean 'max'"):
        Choices("maxx").checked()


def test_a_percentile_is_of_the_values_that_were_seen() -> None:
    x = np.arange(-10_000, 10_001, dtype=np.float32)
    how = calibration.activations(x, catalog.number_format("int8"), "percentile")
    # 0.005 % of 20001 values are beyond each end: one
    assert float(how.scale) * 255 == pytest.approx(2 * 9999, rel=1e-5)


def test_indices_into_a_codebook_stand_for_at_most_its_entries() -> None:
    weight = values(1, 31, 37)
    made, how = calibration.weights(weight, catalog.number_format("codebook4"), 0, "channel")
    assert len(np.unique(made)) <= 16
    assert log10(np.square(weight).sum() / np.square(made * how.scale - weight).sum()) > 1.5
    assert np.log2(how.scale) == np.rint(np.log2(how.scale))


def test_maxima_and_layouts_have_the_scale_of_what_they_are_taken_from() -> None:
    x, net = values(1, 2, 3, 6, 6), NetworkBuilder("pooled")
    pooled = net.pool("pool", net.conv("conv", net.input("x", x.shape), 5, 3, padding=1), 2)
    net.layout("part", net.flatten("flat", pooled), (2, 15), "slice0")
    from hwsim.functional.quantised import homes

    assert homes(net.build()) == {"x": "x", "conv": "conv", "pool": "conv", "flat": "conv", "part": "conv"}


def test_states_have_the_scale_of_what_they_are_carried_from() -> None:
    from hwsim.functional.quantised import homes

    found = homes(catalog.network("lstm:hidden=5,inputs=3,steps=2"))
    assert found["lstm1.state"] == found["lstm1.sequence"] == "lstm1.hidden"
    assert found["lstm1.i.sum"] == "lstm1.gates"


@pytest.mark.parametrize("groups", [1, 2])
def test_an_int8_convolution_is_onnxruntime_s(groups: int) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of whole numbers")
    x, weight, bias = values(1, 2, 4, 13, 11), values(2, 6, 4 // groups, 3, 3), values(3, 6)
    net = NetworkBuilder("conv")
    net.conv("conv", net.input("x", x.shape), 6, 3, padding=1, stride=2, groups=groups)
    network = net.build(tensors={"conv.weight": weight, "conv.bias": bias})
    _, outputs = run(network, "int8", x)
    fmt = catalog.number_format("int8")
    given, result = (calibration.activations(one, fmt, "max") for one in (x, outputs.exact[0]))
    made, how = calibration.weights(weight, fmt, 0, "channel")
    constants = {
        "xs": given.scale, "xz": given.zero_point.astype(np.int8), "w": made.astype(np.int8), "ws": how.scale,
        "wz": np.zeros(6, np.int8), "ys": result.scale, "yz": result.zero_point.astype(np.int8),
        "b": np.rint(bias / (given.scale * how.scale).astype(np.float64)).astype(np.int32),
    }  # fmt: skip
    make = onnx.helper
    graph = make.make_graph(
        [make.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], pads=[1, 1, 1, 1],
                        strides=[2, 2], group=groups)],
        "conv", [make.make_tensor_value_info("x", onnx.TensorProto.INT8, x.shape)],
        [make.make_tensor_value_info("y", onnx.TensorProto.INT8, None)],
        [onnx.numpy_helper.from_array(one, name) for name, one in constants.items()],
    )  # fmt: skip
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": quantise(x, given)})
    np.testing.assert_array_equal(quantise(outputs.found[0], result), expected)

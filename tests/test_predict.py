"""A prediction beside a measurement: groups of fused layers, errors of every case, what is not scored."""

from __future__ import annotations

import pytest

import hwsim
from hwsim import Network, NetworkBuilder, catalog
from hwsim.errors import InputError, LimitError, UsageError
from hwsim.formats.fp32 import fp32
from hwsim.measure.predict import Machines, Predicted, accuracy, operator, predictions, require_below


def two_layers() -> Network:
    net = NetworkBuilder("two")
    x = net.conv("conv", net.input("x", (1, 3, 11, 7)), 5, 3)
    x = net.flatten("flat", net.activation("relu", x))
    net.linear("fc", x, 13)
    return net.build()


def machines(*fitted: str) -> Machines:
    slow, fast = catalog.chip("systolic:clock_mhz=500"), catalog.chip("systolic:clock_mhz=1000")
    return Machines(slow, fast, lambda layer: layer.name in fitted)


def row(measured: float, calibrated: float, *, repeated: float | None = None, fitted_on: bool = False) -> Predicted:
    return Predicted("one", "matmul", 7, measured, 1.0, 2.0, calibrated, repeated, fitted_on)


def test_a_layer_that_runs_in_anothers_call_is_predicted_with_it() -> None:
    net = two_layers()
    simulated = {one["layer"]: one["seconds"] for one in hwsim.simulate(net, on="systolic", format="fp32").rows}
    conv, fc = predictions(net, fp32, machines(), {"conv": 3.0, "fc": 5.0}, None, {"relu": "conv"})
    assert (conv.layer, conv.operator, conv.measured_seconds) == ("conv", "3x3 convolution", 3.0)
    assert conv.calibrated_seconds == pytest.approx(simulated["conv"] + simulated["relu"])
    assert (fc.layer, fc.macs, fc.repeated_seconds) == ("fc", 9 * 5 * 5 * 13, None)
    assert fc.calibrated_seconds == simulated["fc"]
    assert fc.datasheet_seconds > fc.calibrated_seconds >= fc.roofline_seconds / 2


def test_what_took_no_time_is_not_predicted() -> None:
    found = predictions(two_layers(), fp32, machines(), {"conv": 3.0, "flat": 0.0}, None, {})
    assert [one.layer for one in found] == ["conv"]


def test_errors_are_relative_to_what_was_measured_and_a_sum_counts_every_layer() -> None:
    rows = [row(10, 11, repeated=10), row(20, 15, repeated=22), row(40, 400, repeated=40, fitted_on=True)]
    found = {one.case: one for one in accuracy(rows)}
    # |11/10 - 1| and |15/20 - 1|; the sum is (11 + 15 + 400) / (10 + 20 + 40)
    assert found["calibrated on other shapes"][2:] == pytest.approx((17.5, 17.5, 25, 100 * (426 / 70 - 1)))
    assert found["calibrated on other shapes"].layers == 2
    assert found["measured again"].mean_percent == pytest.approx(5)
    assert found["datasheet only"].worst_percent == pytest.approx(90)


def test_without_a_second_measurement_there_is_no_floor() -> None:
    assert "measured again" not in {one.case for one in accuracy([row(10, 11)])}


def test_layers_that_were_all_calibrated_on_are_no_test() -> None:
    with pytest.raises(InputError, match="every layer has the shape of one that was calibrated on"):
        accuracy([row(10, 11, fitted_on=True)])


def test_an_error_above_the_limit_is_told() -> None:
    found = accuracy([row(10, 12)])
    require_below(found, 20.1)
    with pytest.raises(LimitError, match=r"is 20 %; the limit is 19 %"):
        require_below(found, 19)


def test_a_format_that_the_model_lacks_is_a_usage_error() -> None:
    chip = catalog.chip("tpu_v1")
    with pytest.raises(UsageError, match="the model of 'tpu_v1' has no fp32; it has int8"):
        predictions(two_layers(), fp32, Machines(chip, chip, lambda layer: False), {"conv": 3.0}, None, {})


def test_convolutions_are_told_apart() -> None:
    net = NetworkBuilder("several")
    x = net.input("x", (1, 6, 11, 11))
    for name, channels, kernel, groups in (("a", 6, 3, 6), ("b", 4, 3, 2), ("c", 5, 1, 1), ("d", 5, 5, 1)):
        net.conv(name, x, channels, kernel, groups=groups)
    names = [operator(layer) for layer in net.build().layers]
    assert names == ["depthwise convolution", "grouped convolution", "1x1 convolution", "convolution"]

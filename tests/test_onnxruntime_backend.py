"""onnxruntime runs what the network says: values against the reference, and every layer's time in one place."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim import catalog
from hwsim.errors import HardwareError, InputError
from hwsim.functional.forward import forward
from hwsim.functional.inputs import inputs_of
from hwsim.ir import Network, NetworkBuilder

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")

from hwsim.measure.backends import onnxruntime_
from hwsim.measure.backends.onnx_int8 import Scale, fold, scale_of
from hwsim.measure.backends.onnxruntime_layers import Profile
from hwsim.measure.backends.onnxruntime_profile import by_layer, fused_layers

FP32, INT8 = catalog.number_format("fp32"), catalog.number_format("int8")


def operators() -> Network:
    """Return one of most operators, of prime sizes."""
    net = NetworkBuilder("operators")
    x = net.input("x", (2, 6, 13, 11))
    x = net.activation("r", net.normalisation("bn", net.conv("c", x, 10, 3, stride=2, padding=(1, 0, 2, 1), groups=2)))
    y = net.conv("d", x, 10, 3, padding=2, dilation=2, groups=10, bias=False)
    x = net.activation("sum6", net.elementwise("sum", x, y), "relu6")
    x = net.concatenation("both", x, net.activation("sig", y, "sigmoid"))
    x = net.pool("p", net.normalisation("lrn", x, "local_response"), 3, stride=2, ceil_mode=True)
    x = net.pool("a", x, 2, function="average", padding=1)
    x = net.flatten("f", net.pool("g", x, net.shape_of(x)[2:], function="average"))
    x = net.activation("t", net.linear("fc", x, 7), "tanh")
    net.softmax("s", net.elementwise("scaled", x, x, function="multiply"))
    return net.build()


def products() -> Network:
    """Return a product of two activations, a transposition and a normalisation over features."""
    net = NetworkBuilder("products")
    x = net.input("x", (3, 5, 7))
    turned = net.layout("turned", x, (3, 7, 5), "transpose")
    x = net.softmax("s", net.matmul("m", x, turned))
    net.activation("g", net.normalisation("n", net.linear("l", x, 11), "layer"), "gelu")
    return net.build()


def layouts() -> Network:
    """Return transpositions and slices, also of dimensions of one size, whose shapes do not say what moves where."""
    net = NetworkBuilder("layouts")
    x = net.input("x", (2, 3, 3, 7))
    net.layout("same_shape", x, (2, 3, 3, 7), "transpose0213")
    net.layout("to_the_front", x, (3, 2, 3, 7), "transpose2013")
    net.layout("two_turned", net.input("square", (5, 5)), (5, 5), "transpose10")
    net.layout("with_ones", net.input("thin", (1, 5, 1, 7)), (7, 1, 5), "transpose")
    net.layout("second", x, (2, 3, 3, 2), "from3")
    return net.build()


NETWORKS: dict[str, Network] = {
    "operators": operators(),
    "layouts": layouts(),
    "products": products(),
    **{
        spec: catalog.network(spec)
        for spec in (
            "mlp:hidden=13,inputs=17,batch=3",
            "lstm:hidden=7,inputs=5,steps=3,batch=2",
            "gru:hidden=7,inputs=5,steps=3,bidirectional=True",
            "shufflenet:image=64",
            "mobilenet:image=32,width=0.25",
            "resnet:depth=18,image=32,width=16",
        )
    },
}


def outputs_and_reference(network: Network, fmt: Any) -> list[tuple[Any, Any]]:
    run = onnxruntime_.prepare(network, fmt, threads=1, seed=3)
    found = run.outputs()
    run.close()
    expected = forward(network, inputs_of(network, "random", 3), seed=3)
    return [(y, expected[name].reshape(y.shape)) for name, y in found.items()]


@pytest.mark.parametrize("name", NETWORKS)
def test_fp32_values_are_those_of_the_reference(name: str) -> None:
    for found, expected in outputs_and_reference(NETWORKS[name], FP32):
        assert np.allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "name", ["operators", "layouts", "mlp:hidden=13,inputs=17,batch=3", "lstm:hidden=7,inputs=5,steps=3,batch=2"]
)
def test_int8_values_are_near_those_of_the_reference(name: str) -> None:
    for found, expected in outputs_and_reference(NETWORKS[name], INT8):
        assert np.abs(found - expected).max() <= 0.15 * np.abs(expected).max()


def test_every_layer_is_timed_or_fused_into_one_that_is() -> None:
    network = NETWORKS["resnet:depth=18,image=32,width=16"]
    run = onnxruntime_.prepare(network, FP32, threads=1, seed=0)
    samples = run.samples(3, cold=False)
    run.close()
    assert len(samples) == 3
    for one in samples:
        assert one.total_s > 0
        assert set(one.layers_s) | set(run.fused) == {layer.name for layer in network.layers}
        assert not set(one.layers_s) & set(run.fused)
    assert run.fused["conv1_bn"] == run.fused["conv1_relu"] == "conv1"


def test_another_format_and_an_operator_without_values_are_refused() -> None:
    with pytest.raises(InputError, match="bf16"):
        onnxruntime_.prepare(NETWORKS["products"], catalog.number_format("bf16"), 1, 0)
    net = NetworkBuilder("unknown")
    net.unsupported("strange", [net.input("x", (1, 3))], (1, 3), "Strange")
    with pytest.raises(InputError, match="'strange'"):
        onnxruntime_.prepare(net.build(), FP32, 1, 0)


def test_a_product_without_a_call_runs_in_that_of_the_activation_behind_it() -> None:
    net = NetworkBuilder("chain")
    x = net.activation("r", net.normalisation("bn", net.conv("c", net.input("x", (1, 3, 5, 5)), 7, 3)))
    net.flatten("f", x)
    # only the activation has a call, and the change of shape has none
    assert fused_layers(net.build(), {2}, {}) == {"bn": "c", "r": "c", "f": "c"}


def test_changes_of_layout_count_to_their_neighbours() -> None:
    nodes = [("ReorderInput", 1.0), ("L0_nchwc", 2.0), ("ReorderOutput_token_3", 4.0), ("Reorder_x", 8.0), ("L1", 16.0)]
    assert list(by_layer(nodes)) == [(0, 3.0), (0, 4.0), (1, 24.0)]


def test_scales_start_at_zero_where_nothing_is_below_it() -> None:
    assert scale_of((0.0, 51.0)) == Scale(0.2, 0)
    assert scale_of((-254.0, 127.0)) == Scale(2.0, 128)


def test_only_activations_that_round_alike_are_folded() -> None:
    assert fold(operators()) == {"bn": "c", "r": "c", "sum6": "sum"}


def test_runs_after_runs_share_one_profile_and_cold_caches_are_told_only_of_cold_runs() -> None:
    run = onnxruntime_.prepare(NETWORKS["products"], FP32, threads=1, seed=0)
    first = run.samples(2, cold=False)
    profile = run.run.profile
    second = run.samples(1, cold=False)
    assert run.run.profile is profile
    assert not any("cold" in note for note in run.notes)
    run.close()
    assert all(set(one.layers_s) == set(first[0].layers_s) and one.layers_s["m"] > 0 for one in (*first, *second))


def test_nothing_is_left_of_a_run_whether_it_could_be_made_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = onnxruntime_.prepare(NETWORKS["products"], FP32, threads=1, seed=0)
    run.samples(1, cold=False)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(Profile, "end", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.close()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(onnxruntime_.Run, "_feeds", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        onnxruntime_.prepare(NETWORKS["products"], FP32, threads=1, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_caches_are_filled_before_each_cold_run_and_the_note_says_so() -> None:
    run = onnxruntime_.prepare(NETWORKS["products"], FP32, threads=1, seed=0)
    run.samples(1, cold=True)
    run.samples(1, cold=True)
    said = [note for note in run.notes if note.startswith("cold: ")]
    run.close()
    assert len(said) == 1
    assert "MiB of other data pass through the caches before each run, not before each layer" in said[0]


def test_a_calibration_without_the_library_is_lacking_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwsim.measure.calibrate import calibrate

    monkeypatch.setattr(onnxruntime_, "missing", lambda: "onnxruntime is not installed")
    with pytest.raises(HardwareError, match="not installed"):
        calibrate()


@pytest.mark.slow
def test_a_measurement_leaves_denormals_as_they_are() -> None:
    # in a process of its own: what the library does is decided by the first session of all; bits, because a processor
    # that takes denormals for zero compares them so, too
    code = """
import numpy as np
from hwsim.measure.measure import measure

measure("mlp:hidden=7,inputs=5,classes=3", backend="onnxruntime", budget_s=0.1)
assert np.asarray([2.0**-140], np.float32).view(np.uint32)[0] == 2**9
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

"""Work and parameters of whole networks from ONNX files, against published totals, torch and onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_exports
import pytest
from onnx import helper
from onnx_models import light_model

from hwsim.ir.onnx.importer import onnx_network

BOTTLENECKS = ((3, 56, 64), (4, 28, 128), (6, 14, 256), (3, 7, 512))
"""Blocks, rows and width of each of ResNet-50's stages (He et al., CVPR 2016, Table 1)."""


def resnet50_macs(*, stride_in_3x3: bool) -> int:
    """Return ResNet-50's multiply-accumulates: He et al. stride in a block's first 1x1, torchvision in its 3x3."""
    total, depth, rows = 112**2 * 64 * 3 * 49, 64, 56
    for blocks, out_rows, width in BOTTLENECKS:
        for block in range(blocks):
            first_rows = rows if stride_in_3x3 else out_rows
            total += first_rows**2 * depth * width + out_rows**2 * (9 * width * width + width * 4 * width)
            total += out_rows**2 * depth * 4 * width if block == 0 else 0
            depth, rows = 4 * width, out_rows
    return total + 2048 * 1000


def vgg19_macs() -> int:
    channels = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
    rows = (224, 224, 112, 112, 56, 56, 56, 56, 28, 28, 28, 28, 14, 14, 14, 14)
    convolutions = sum(9 * c * k * p * p for c, k, p in zip(channels, channels[1:], rows, strict=False))
    return convolutions + 25088 * 4096 + 4096 * 4096 + 4096 * 1000


PUBLISHED = {
    # parameters: torchvision's model table; AlexNet and GoogLeNet: the blobs of their Caffe models
    "resnet50": (resnet50_macs(stride_in_3x3=True), 25_557_032),
    "vgg19": (vgg19_macs(), 143_667_240),
    "squeezenet": (349_151_936, 1_235_496),
    "bvlc_alexnet": (654_560_384, 60_965_224),
    "inception_v1": (1_431_556_352, 6_998_552),
    # 83,648 more than torchvision's: Caffe's Scale layer behind each batch normalisation scales and shifts again
    "densenet121": (2_834_161_664, 7_978_856 + 83_648),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_network_has_its_published_work_and_parameters(name: str) -> None:
    net = onnx_network(light_model(name))
    assert (net.macs, net.parameters) == PUBLISHED[name]
    assert net.unsupported == {}


def test_resnet50_formula_gives_the_papers_3_86_g() -> None:
    assert resnet50_macs(stride_in_3x3=False) == 3_857_973_248
    assert resnet50_macs(stride_in_3x3=True) == 4_089_184_256


@pytest.mark.parametrize("name", ["inception_v2", "shufflenet", "zfnet512"])
def test_shipped_network_has_no_unsupported_operator(name: str) -> None:
    net = onnx_network(light_model(name))
    assert net.unsupported == {}
    assert net.layers[-1].output_shape == (1, 1000)


TORCH_MACS = {
    # (37 + 2 - 5) // 2 + 1 = 18 rows, 20 columns; pooled 8 x 9; depthwise, pointwise, linear
    "cnn": 18 * 20 * 16 * 3 * 25 + 8 * 9 * 16 * 9 + 8 * 9 * 16 * 16 + 16 * 7,
    # 13 steps, two directions, four gates of 11, inputs 7 and then 2 x 11, states 11; 22 features to 5 tags
    "lstm": 13 * 2 * 44 * (7 + 11) + 13 * 2 * 44 * (22 + 11) + 22 * 5,
    # 13 positions of 24 features: Q K V, scores and their product with V over 4 heads of 6, output, feed forward of 46
    "transformer": 13 * 24 * 72 + 2 * 4 * 13 * 13 * 6 + 13 * 24 * 24 + 2 * 13 * 24 * 46,
}
TORCH_PARAMETERS = {
    # convolutions 75 x 3 x 16 ...: weights and biases, batch normalisation 2 x 16
    "cnn": 3 * 25 * 16 + 16 + 32 + 9 * 16 + 16 * 16 + 16 + 16 * 7 + 7,
    "lstm": 2 * (44 * 7 + 44 * 11 + 2 * 44) + 2 * (44 * 22 + 44 * 11 + 2 * 44) + 22 * 5 + 5,
    "transformer": 24 * 72 + 72 + 24 * 24 + 24 + 2 * 24 * 46 + 46 + 24 + 4 * 24,
}


@pytest.mark.parametrize("name", onnx_exports.NAMES)
@pytest.mark.parametrize("batch", [1, 3])
def test_network_exported_by_torch_has_the_work_and_parameters_counted_by_hand(name: str, batch: int) -> None:
    net = onnx_network(onnx_exports.DATA / f"torch_{name}.onnx", batch=batch)
    assert net.macs == batch * TORCH_MACS[name]
    assert net.parameters == TORCH_PARAMETERS[name]
    assert (net.batch, net.unsupported) == (batch, {})


@pytest.mark.slow
@pytest.mark.parametrize("name", onnx_exports.NAMES)
def test_network_exported_by_the_torch_at_hand_is_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch makes the ONNX files")
    pytest.importorskip("onnxscript", reason="torch exports through onnxscript")
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_exports.export(name))
    net = onnx_network(path)
    assert (net.macs, net.parameters) == (TORCH_MACS[name], TORCH_PARAMETERS[name])
    assert net.parameters == onnx_exports.parameters(name)


@pytest.mark.parametrize("name", onnx_exports.NAMES)
def test_every_layer_has_the_shape_that_onnxruntime_computes(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of shapes")
    proto = onnx.load(onnx_exports.DATA / f"torch_{name}.onnx")
    declared = {output.name for output in proto.graph.output}
    results = {node.name: node.output[0] for node in proto.graph.node if node.op_type not in ("LSTM", "Shape")}
    proto.graph.output.extend(helper.make_empty_tensor_value_info(o) for o in set(results.values()) - declared)
    net = onnx_network(onnx_exports.DATA / f"torch_{name}.onnx", batch=2)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in net.inputs if tensor.carried_from is None}
    names = [output.name for output in session.get_outputs()]
    computed = dict(zip(names, (value.shape for value in session.run(None, given)), strict=True))
    compared = [layer for layer in net.layers if layer.name in results]
    assert len(compared) >= 8
    assert {layer.name: layer.output_shape for layer in compared} == {
        layer.name: computed[results[layer.name]] for layer in compared
    }

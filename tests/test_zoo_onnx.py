"""Networks that torch exports to ONNX import to the work and the parameters of our own builders."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from hwsim import catalog
from hwsim.ir import Kind, Network
from hwsim.ir.onnx.importer import onnx_network

torch = pytest.importorskip("torch", reason="torch builds and exports the networks")
nn = torch.nn

RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Channels, blocks and stride of the stages (He et al., CVPR 2016, Table 1)."""

MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and stride of the rows of Sandler et al., CVPR 2018, Table 2."""


def convolution(given: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Any]:
    """Return a convolution without bias and its batch normalisation."""
    conv = nn.Conv2d(given, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(channels)]


class Residual(nn.Module):  # type: ignore[name-defined,misc]
    """A branch whose input, projected where there is a projection, is added to its output."""

    def __init__(self, branch: list[Any], projection: list[Any], behind: Any) -> None:
        super().__init__()
        self.branch, self.projection, self.behind = nn.Sequential(*branch), nn.Sequential(*projection), behind

    def forward(self, x: Any) -> Any:
        return self.behind(self.branch(x) + self.projection(x))


def resnet50() -> Any:
    layers, given = [*convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for channels, blocks, first_stride in RESNET50:
        for stride in (first_stride, *[1] * (blocks - 1)):
            branch = [
                *convolution(given, channels, 1),
                nn.ReLU(),
                *convolution(channels, channels, 3, stride),
                nn.ReLU(),
            ]
            branch += convolution(channels, 4 * channels, 1)
            projection = convolution(given, 4 * channels, 1, stride) if given != 4 * channels else []
            layers.append(Residual(branch, projection, nn.ReLU()))
            given = 4 * channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(given, 1000))


def mobilenet_v2() -> Any:
    layers, given = [*convolution(3, 32, 3, 2), nn.ReLU6()], 32
    for expansion, channels, blocks, first_stride in MOBILENET_V2:
        for stride in (first_stride, *[1] * (blocks - 1)):
            wide = given * expansion
            branch = [*convolution(given, wide, 1), nn.ReLU6()] if expansion > 1 else []
            branch += [*convolution(wide, wide, 3, stride, wide), nn.ReLU6(), *convolution(wide, channels, 1)]
            kept = stride == 1 and given == channels
            layers += [Residual(branch, [], nn.Identity())] if kept else branch
            given = channels
    layers += [*convolution(given, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


def imported(module: Any, path: Path, **how: Any) -> Network:
    """Return what torch exports of a module whose weights are random, so that the exporter merges none of them."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.randn(1, 3, 224, 224),), path, verbose=False, **how)
    return onnx_network(path)


@pytest.mark.slow
@pytest.mark.parametrize(("build", "spec"), [(resnet50, "resnet:depth=50"), (mobilenet_v2, "mobilenet:version=2")])
def test_a_network_exported_as_it_is_has_our_macs_and_parameters(build: Any, spec: str, tmp_path: Path) -> None:
    module, ours = build(), catalog.network(spec)
    # the exporter that keeps batch normalisation; it is deprecated, and may go
    how = {"dynamo": False, "do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
    theirs = imported(module, tmp_path / "net.onnx", **how)
    assert (theirs.macs, theirs.parameters, theirs.unsupported) == (ours.macs, ours.parameters, {})
    assert theirs.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert [layer.macs for layer in theirs.layers if layer.is_mac] == [
        layer.macs for layer in ours.layers if layer.is_mac
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("build", "spec"), [(resnet50, "resnet:depth=50"), (mobilenet_v2, "mobilenet:version=2")])
def test_a_network_exported_for_inference_has_our_macs_and_a_bias_per_normalisation(
    build: Any, spec: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="torch exports through onnxscript")
    ours = catalog.network(spec)
    theirs = imported(build(), tmp_path / "net.onnx", dynamo=True)
    assert (theirs.macs, theirs.unsupported) == (ours.macs, {})
    # scale and shift of a channel become the bias of the convolution in front
    merged = sum(layer.parameters // 2 for layer in ours.layers if layer.kind is Kind.NORMALISATION)
    assert theirs.parameters == ours.parameters - merged

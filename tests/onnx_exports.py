"""Networks that torch exports to ONNX: what they are, and how the files in data/ were made.

`python tests/onnx_exports.py` exports them anew. Positions of source code and other remarks are left out of the files.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

DATA = Path(__file__).parent / "data"
NAMES = ("cnn", "lstm", "transformer")


def export(name: str) -> bytes:
    """Return the ONNX file of one of the networks, with a symbolic batch dimension."""
    import torch

    torch.manual_seed(7)
    module, example = MODULES[name](torch)
    for parameter in module.parameters():
        # exporters merge equal tensors and drop biases of zero, which a trained network does not have
        torch.nn.init.normal_(parameter)
    file = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (example,), file, dynamo=True, verbose=False, dynamic_shapes=({0: "batch"},))
    return _without_remarks(file.getvalue())


def parameters(name: str) -> int:
    """Return the parameters that torch counts."""
    import torch

    return sum(parameter.numel() for parameter in MODULES[name](torch)[0].parameters())


def _without_remarks(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
    ):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    return bytes(model.SerializeToString())


def _cnn(torch: Any) -> tuple[Any, Any]:
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(16)  # behind a pooling, so that exporters cannot merge it with a convolution
            self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
            self.pointwise = nn.Conv2d(16, 16, 1)

        def forward(self, x: Any) -> Any:
            return torch.relu(x + self.pointwise(self.depthwise(torch.relu(self.norm(x)))))

    module = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        Residual(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 7),
    )
    return module, torch.randn(2, 3, 37, 41)


def _lstm(torch: Any) -> tuple[Any, Any]:
    nn = torch.nn

    class Tagger(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.LSTM(7, 11, num_layers=2, bidirectional=True, batch_first=True)
            self.last = nn.Linear(22, 5)

        def forward(self, x: Any) -> Any:
            return self.last(self.recurrent(x)[0][:, -1])

    return Tagger(), torch.randn(2, 13, 7)


def _transformer(torch: Any) -> tuple[Any, Any]:
    return torch.nn.TransformerEncoderLayer(24, 4, 46, batch_first=True, activation="gelu"), torch.randn(2, 13, 24)


MODULES: dict[str, Callable[[Any], tuple[Any, Any]]] = {"cnn": _cnn, "lstm": _lstm, "transformer": _transformer}

if __name__ == "__main__":
    for each in NAMES:
        (DATA / f"torch_{each}.onnx").write_bytes(export(each))

"""Small networks of awkward sizes, and what a backend makes of them beside the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim import catalog
from hwsim.functional.forward import forward
from hwsim.functional.inputs import inputs_of
from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent
from hwsim.measure.backends import backends
from hwsim.measure.program import plainly


def images() -> Network:
    """Return convolutions of all sorts on prime sizes: strided, grouped, depthwise, dilated, padded unequally."""
    net = NetworkBuilder("images")
    x = net.input("image", (2, 3, 23, 19))
    x = net.normalisation("norm1", net.conv("strided", x, 14, (5, 3), stride=(2, 1), padding=1))
    x = net.activation("relu1", x)
    x = net.conv("grouped", x, 22, 3, padding=(0, 1, 2, 1), groups=2)
    x = net.activation("relu6", net.conv("depthwise", x, 22, 3, stride=2, padding=1, groups=22), "relu6")
    x = net.conv("dilated", x, 13, (3, 2), dilation=(2, 1), padding=2)
    shortcut = net.conv("pointwise", x, 13, 1)
    x = net.elementwise("residual", x, shortcut)
    x = net.pool("largest", x, 3, stride=2, padding=1)
    x = net.concatenation("joined", x, net.pool("mean", x, 3, stride=1, padding=1, function="average"))
    x = net.normalisation("local", x, "local_response")
    x = net.linear("classes", net.flatten("flat", net.global_pool("whole", x)), 11)
    net.softmax("softmax", x)
    return net.build()


def sequences() -> Network:
    """Return an LSTM and a GRU over a sequence, the second in both directions."""
    net = NetworkBuilder("sequences")
    x = recurrent(net, "lstm", net.input("words", (2, 3, 7)), 13)
    x = recurrent(net, "gru", x, 5, cell="gru", bidirectional=True)
    net.linear("classes", x, 11)
    return net.build()


def attention() -> Network:
    """Return attention of two heads, normalised, with an activation behind it."""
    net = NetworkBuilder("attention")
    queries, values = (net.input(name, (2, 3, 17, 7)) for name in ("queries", "values"))
    scores = net.matmul("scores", queries, net.input("keys", (2, 3, 7, 17)))
    x = net.matmul("attended", net.softmax("softmax", scores), values)
    x = net.normalisation("norm", x, "layer")
    x = net.activation("gelu", net.linear("wide", x, 29), "gelu")
    net.elementwise("gated", x, net.activation("sigmoid", x, "sigmoid"), function="multiply")
    return net.build()


NETWORKS = {"images": images, "sequences": sequences, "attention": attention}


def worst_error(network: Network, backend: str, fmt: str) -> tuple[float, str]:
    """Return the largest error of all layers relative to the largest value of the layer, and where it is."""
    library: Any = backends()[backend, "cpu"]
    runner = library.prepare(network, catalog.number_format(fmt), 2, 0, keep=True)
    found = runner.program.run(plainly)
    expected = forward(network, inputs_of(network, "random", 0), seed=0)
    errors = []
    for layer in network.layers:
        y, true = values(found[layer.name], runner, layer.name), expected[layer.name]
        assert y.shape == true.shape, layer.name
        errors.append((float(np.abs(y - true).max() / np.abs(true).max()), layer.name))
    return max(errors)


def values(tensor: Any, runner: Any, name: str) -> Any:
    """Return a tensor, or one with a value for each step, in float32."""
    if isinstance(tensor, list):
        return np.stack([values(one, runner, name) for one in tensor])
    y = tensor.float().numpy() if hasattr(tensor, "float") else np.asarray(tensor)
    return (y.astype(np.float32) - 128) * runner.scales[name] if y.dtype == np.uint8 else y

"""The multi-layer perceptron: fully connected layers with ReLU between them.

The default is LeNet-300-100 of LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998, Sec. III, as compression papers use it (Han et al., NIPS 2015, Table 3).
"""

from __future__ import annotations

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least

SOURCE = "LeNet-300-100: LeCun et al., Proc. IEEE 86(11), 1998, Sec. III; other sizes are the caller's"


def mlp(hidden: str = "300-100", inputs: int = 784, classes: int = 10, batch: int = 1) -> Network:
    """Return a perceptron on `batch` vectors (N, inputs) with the hidden sizes of "300-100"; "" has no hidden layer.

    Raises `InputError` for sizes below 1 and hidden sizes that are not whole numbers joined by "-".
    """
    at_least("mlp", 1, inputs=inputs, classes=classes, batch=batch)
    sizes = _sizes(hidden)
    net = NetworkBuilder("-".join(map(str, ["mlp", inputs, *sizes, classes])))
    x = net.input("vectors", (batch, inputs))
    for index, size in enumerate(sizes, 1):
        x = net.activation(f"relu{index}", net.linear(f"fc{index}", x, size))
    net.softmax("softmax", net.linear(f"fc{len(sizes) + 1}", x, classes))
    return net.build(source=SOURCE)


def _sizes(hidden: str) -> tuple[int, ...]:
    parts = hidden.split("-") if hidden else []
    if not all(part.isascii() and part.isdecimal() and len(part) < 20 and int(part) > 0 for part in parts):
        raise InputError(f"mlp: hidden='{hidden}' must be sizes of at least 1 joined by '-', as in '300-100'")
    return tuple(map(int, parts))

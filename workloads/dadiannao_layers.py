"""The layers on which DaDianNao was measured, each by itself, and its full network.

Chen et al., DaDianNao: A Machine-Learning Supercomputer, MICRO 2014, Table I and Sec. II-B: strides of convolutions
are 1, those of pooling its kernel. Layers with a star have kernels of their own for every place of the image.
"""

from __future__ import annotations

from hwsim.ir import Kind, Layer, Network, NetworkBuilder
from hwsim.ir.network import Tensor
from hwsim.published import table

from ._blocks import at_least, one_of

SOURCE = "Chen et al., DaDianNao: A Machine-Learning Supercomputer, MICRO 2014, Table I"
FULL = "fullNN"
NOTES = (
    "between the last convolution of 13x13 and the 9216 inputs of the first classifier layer, which the paper lists "
    "one after the other, the maximum over windows of 3x3 is taken with stride 2",
)


def dadiannao_layers(layer: str = "CLASS1", batch: int = 1) -> Network:
    """Return the layer named as in Table I, such as "CONV3*", or "fullNN", the network of all kinds of layers."""
    rows = {row["layer"]: row for row in table("dadiannao_table1") if row["type"] in _KINDS}
    rows = {name: row for name, row in rows.items() if not name.startswith(FULL)}
    known = {name.lower(): name for name in (*rows, FULL)}
    one_of("dadiannao_layers", "layer", known.get(layer.lower(), layer), tuple(known.values()))
    at_least("dadiannao_layers", 1, batch=batch)
    name = known[layer.lower()]
    return _full_network(batch) if name == FULL else _KINDS[rows[name]["type"]](name, rows[name], batch)


def _named(layer: str) -> str:
    return f"dadiannao_layers_{layer}"


def _classifier(name: str, row: dict[str, str], batch: int) -> Network:
    net = NetworkBuilder(_named(name))
    net.linear(name, net.input("neurons", (batch, int(row["inputs"]))), int(row["outputs"]), bias=False)
    return net.build(source=SOURCE, format="fixed16")


def _image(row: dict[str, str], batch: int) -> tuple[int, int, int, int]:
    return batch, int(row["inputs"]), int(row["rows"]), int(row["cols"])


def _kernel(row: dict[str, str]) -> tuple[int, int]:
    return int(row["kernel_rows"]), int(row["kernel_cols"])


def _convolution(name: str, row: dict[str, str], batch: int) -> Network:
    net = NetworkBuilder(_named(name))
    net.conv(name, net.input("neurons", _image(row, batch)), int(row["outputs"]), _kernel(row), bias=False)
    return net.build(source=SOURCE, format="fixed16")


def _pooling(name: str, row: dict[str, str], batch: int) -> Network:
    net = NetworkBuilder(_named(name))
    net.pool(name, net.input("neurons", _image(row, batch)), _kernel(row))
    return net.build(source=SOURCE, format="fixed16")


def _normalisation(name: str, row: dict[str, str], batch: int) -> Network:
    net = NetworkBuilder(_named(name))
    net.normalisation(name, net.input("neurons", _image(row, batch)), "local_response")
    return net.build(source=SOURCE, format="fixed16")


def _private(name: str, row: dict[str, str], batch: int) -> Network:
    """Return a layer of private kernels: at each place of the image a matrix product by weights of its own."""
    (batch, inputs, height, width), taps, outputs = _image(row, batch), _kernel(row), int(row["outputs"])
    rows, cols = height - taps[0] + 1, width - taps[1] + 1
    places, reduction = rows * cols, inputs * taps[0] * taps[1]
    layer = Layer(
        name=name,
        kind=Kind.MATMUL,
        inputs=("neurons",),
        input_shapes=((batch, inputs, height, width),),
        output_shape=(batch, outputs, rows, cols),
        function="private",
        G=places,
        N=batch,
        K=outputs,
        C=reduction,
        parameters=places * reduction * outputs,
    )
    neurons = Tensor("neurons", (batch, inputs, height, width))
    return Network(_named(name), (neurons,), (layer,), source=SOURCE, format="fixed16")


_KINDS = {
    "class": _classifier,
    "conv shared": _convolution,
    "conv private kernels": _private,
    "pool": _pooling,
    "lrn": _normalisation,
}


def _full_network(batch: int) -> Network:
    """Return the full network of Sec. II-B: all twelve layers it lists, and the pooling that their sizes need."""
    net = NetworkBuilder(_named(FULL))
    x = net.input("images", (batch, 3, 224, 224))
    x = net.conv("CONV1", x, 96, 11, stride=4, padding=(2, 2, 1, 1))
    x = net.pool("POOL3", net.normalisation("LRN2", x, "local_response"), 3, stride=2)
    x = net.conv("CONV4", x, 256, 5, padding=2)
    x = net.pool("POOL6", net.normalisation("LRN5", x, "local_response"), 3, stride=2)
    x = net.conv("CONV7", x, 384, 3, padding=1)
    x = net.conv("CONV8", x, 384, 3, padding=1)
    x = net.conv("CONV9", x, 256, 3, padding=1)
    x = net.flatten("flatten", net.pool("pool", x, 3, stride=2))
    for name, outputs in (("CLASS10", 4096), ("CLASS11", 4096), ("CLASS12", 1000)):
        x = net.linear(name, x, outputs)
    return net.build(source=SOURCE, notes=NOTES, format="fixed16")

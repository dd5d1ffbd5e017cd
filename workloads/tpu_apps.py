"""The six production applications of the TPU paper, in stand-in shapes that meet its Table 1.

Jouppi et al., "In-datacenter performance analysis of a tensor processing unit", ISCA 2017. Table 1 prints layers,
weights, batch and MACs per weight byte of each application, not the shapes of its layers. Those here follow from these
numbers by arithmetic, with what else the paper says of the application and what others published of the networks that
it names; `ORIGINS` says how. Layers have no biases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isqrt, sqrt
from typing import NamedTuple

from hwsim.arch import Source
from hwsim.ir import Network, NetworkBuilder
from hwsim.published import table
from hwsim.units import ceil_div

from ._blocks import COLOURS, at_least, one_of

ARRAY = 256
"""Rows and columns of the TPU's matrix unit (Sec. 2)."""

GATES = {"i": "sigmoid", "f": "sigmoid", "o": "sigmoid", "g": "tanh"}
"""Gates of an LSTM cell and their functions: input, forget and output gate, candidate."""

GNMT_UNITS = 1024
"""Units of an LSTM layer of GNMT (Wu et al., arXiv:1609.08144, 2016)."""

GNMT_FIRST_RESIDUAL = 3
"""First layer of GNMT whose input is added to its output, counted from 1 (Wu et al., Fig. 1)."""

LSTM1_UNITS = 600
"""Rows and columns of the matrix "used in LSTM1" (Sec. 7)."""

STAGES = 3
"""Stages of CNN1, each of half the rows and columns and twice the channels of the one before."""

INCEPTION_PARAMETERS = 23_626_728
"""Parameters of Inception-v3 with the classifier of 1000 classes (Chollet, "Xception: deep learning with depthwise
separable convolutions", CVPR 2017, Table 3). Szegedy et al., who proposed it, say "less than 25 million"."""

INCEPTION_CLASSIFIER = 2048 * 1000
"""Weights of Inception-v3's classifier (Szegedy et al., "Rethinking the Inception architecture for computer vision",
CVPR 2016, Table 1)."""

LARGEST_IMAGE = 299
"""Largest image tried for CNN1: Inception-v3's (Szegedy et al., Table 1)."""

HALF_SPEED = ("LSTM0", "LSTM1")
"""Applications of 8-bit weights and 16-bit activations: their useful MACs, 8.2 % and 6.3 % of the 92 TOPS peak at full
speed, would be 7.5 and 5.8 TOPS, twice the 3.7 and 2.8 of Table 3 (rows 2 and 9)."""

DERIVATIONS = {
    "MLP0": "square layers of round(sqrt(weights / layers)) units",
    "MLP1": "square layers of round(sqrt(weights / layers)) units",
    "LSTM0": (
        "'a subset of GNM Translate' as LSTM layers of GNMT's 1024 units (Wu et al., arXiv:1609.08144, 2016), each of "
        "the 24 FC layers one gate that reads 1024 inputs and 1024 state values; the 34 vector layers are 5 operations "
        "for each of the 6 cells and GNMT's residual additions from the third layer on; one time step"
    ),
    "LSTM1": (
        "the 600x600 matrix of Sec. 7 throughout; the 19 vector layers are 19 cells, 37 FC layers their gates (four "
        "matrices each) and the 18 projections between them, half of whose outputs recur and half go up to the next "
        "cell (Sak, Senior & Beaufays, arXiv:1402.1128, 2014); one time step"
    ),
    "CNN0": (
        "convolutions of 256 channels, as Table 3 shows no unused MACs, on 19x19 positions, as 2888 MACs per weight "
        "byte are 8 x 19 x 19; as many of them 3x3, the others 1x1, as come nearest to the printed weights"
    ),
    "CNN1": (
        "'one CNN is Inception', and 1750 x 100M / 32 = 5.5 GMACs per image are near the '5 billion multiply-adds' of "
        "Inception-v3 (Szegedy et al., CVPR 2016), so the convolutions hold the weights of Inception-v3's, its 23.6M "
        "parameters (Chollet, CVPR 2017, Table 3) less the 2048 x 1000 classifier, and the FC layers the rest; 3x3 "
        "convolutions in three stages, channels doubling and rows halving; the rows of the image from the MACs per "
        "weight byte; 2 pools halve the image, 1 averages it, the others have stride 1, as in Inception"
    ),
}
"""How the shapes of each application follow from what the paper prints."""


def _origins() -> dict[str, Source]:
    """Return the source of each application's shapes: its row of Table 1 and the derivation."""
    return {
        row["app"]: Source(
            row["work"], int(row["year"]), f"{row['locator']}; stand-in shapes: {DERIVATIONS[row['app']]}"
        )
        for row in table("tpu_v1_table1")
    }


ORIGINS = _origins()
"""Where each application's shapes come from, in the order of Table 1."""


class Printed(NamedTuple):
    """A row of Table 1; layers that an application has none of are 0."""

    fc_layers: int
    conv_layers: int
    vector_layers: int
    pool_layers: int
    weights: int
    macs_per_weight_byte: int
    batch: int


def printed(app: str) -> Printed:
    """Return the row of Table 1 of `app`, by its name there."""
    row = next(row for row in table("tpu_v1_table1") if row["app"] == app)
    numbers = {key: int(row[key] or 0) for key in Printed._fields if key != "weights"}
    return Printed(weights=int(row["weights_millions"]) * 10**6, **numbers)


def tpu_apps(app: str = "MLP0", batch: int = 0) -> Network:
    """Return one of MLP0, MLP1, LSTM0, LSTM1, CNN0 and CNN1 at `batch` vectors, sequences or images; 0 is Table 1's.

    Raises `InputError` for an unknown application and a batch below 0.
    """
    name = next((known for known in ORIGINS if known.lower() == app.lower()), app)
    one_of("tpu_apps", "app", name, tuple(ORIGINS))
    at_least("tpu_apps", 0, batch=batch)
    row, net = printed(name), NetworkBuilder(name)
    note = BUILDERS[name](net, row, batch or row.batch)
    network = net.build(source=str(ORIGINS[name]), format="int8x16" if name in HALF_SPEED else "int8")
    return replace(network, notes=(f"stand-in shapes: {note}", _met(network, row)))


def _met(network: Network, row: Printed) -> str:
    """Return how near the stand-in comes to Table 1."""
    weights = sum(layer.weight_elements for layer in network.layers)
    return (
        f"{weights / 1e6:.2f}M weights and {network.macs / weights:.0f} MACs per weight byte, "
        f"where Table 1 prints {row.weights / 1e6:.0f}M and {row.macs_per_weight_byte} at batch {row.batch}"
    )


def _mlp(net: NetworkBuilder, row: Printed, batch: int) -> str:
    width = round(sqrt(row.weights / row.fc_layers))
    _fully_connected(net, net.input("vectors", (batch, width)), width, row.fc_layers)
    return f"{row.fc_layers} layers of {width} x {width}, {width} = round(sqrt({row.weights} / {row.fc_layers}))"


def _fully_connected(net: NetworkBuilder, x: str, width: int, layers: int) -> str:
    for index in range(1, layers + 1):
        x = net.activation(f"relu_fc{index}", net.linear(f"fc{index}", x, width, bias=False))
    return x


def _lstm0(net: NetworkBuilder, row: Printed, batch: int) -> str:
    layers, units = row.fc_layers // len(GATES), GNMT_UNITS
    x = net.input("inputs", (batch, units))
    for index in range(1, layers + 1):
        name = f"cell{index}"
        state = net.state(f"{name}.state", (batch, units))
        hidden = _cell(net, name, x, state, units)
        net.carry(state, hidden)
        x = net.elementwise(f"{name}.residual", hidden, x) if index >= GNMT_FIRST_RESIDUAL else hidden
    return f"{layers} LSTM layers of {units} units, {row.fc_layers} gates of {2 * units} x {units}; one time step"


def _lstm1(net: NetworkBuilder, row: Printed, batch: int) -> str:
    cells, units, half = row.vector_layers, LSTM1_UNITS, LSTM1_UNITS // 2
    projections = row.fc_layers - cells
    x = net.input("inputs", (batch, half))
    for index in range(1, cells + 1):
        name = f"cell{index}"
        state = net.state(f"{name}.state", (batch, half))
        x = _cell(net, name, x, state, units)
        if index <= projections:
            x = net.linear(f"{name}.projection", x, units, bias=False)
        net.carry(state, net.layout(f"{name}.recurrent", x, (batch, half), "slice0"))
        if index < cells:
            x = net.layout(f"{name}.up", x, (batch, half), "slice1")
    matrices = cells * len(GATES) + projections
    return (
        f"{matrices} matrices of {units} x {units}: 4 gates of {cells} cells, {projections} projections; one time step"
    )


def _cell(net: NetworkBuilder, name: str, x: str, state: str, units: int) -> str:
    """Add one step of an LSTM cell on `x` and its `state`: c' = f c + i g, h' = o tanh(c'); return h'."""
    given = net.concatenation(f"{name}.given", x, state)
    batch = net.shape_of(given)[0]
    for gate in GATES:
        net.linear(f"{name}.{gate}_product", given, units, bias=False)
    i, f, o, g = (net.activation(f"{name}.{gate}", f"{name}.{gate}_product", GATES[gate]) for gate in GATES)
    before = net.state(f"{name}.cell_state", (batch, units))
    kept = net.elementwise(f"{name}.keep", f, before, function="multiply")
    written = net.elementwise(f"{name}.write", i, g, function="multiply")
    after = net.elementwise(f"{name}.cell", kept, written)
    net.carry(before, after)
    return net.elementwise(f"{name}.hidden", o, net.activation(f"{name}.cell_tanh", after, "tanh"), function="multiply")


def _cnn0(net: NetworkBuilder, row: Printed, batch: int) -> str:
    extent = isqrt(row.macs_per_weight_byte // row.batch)
    large = min(
        range(row.conv_layers + 1),
        key=lambda count: abs(ARRAY**2 * (9 * count + row.conv_layers - count) - row.weights),
    )
    small = _spread(row.conv_layers - large, row.conv_layers)
    x = net.input("boards", (batch, ARRAY, extent, extent))
    for index in range(1, row.conv_layers + 1):
        x = _conv(net, index, x, ARRAY, 1 if index in small else 3)
    return (
        f"{large} convolutions of 3x3 and {len(small)} of 1x1 with {ARRAY} channels on {extent}x{extent} positions, "
        f"the split whose weights come nearest to {row.weights}"
    )


def _cnn1(net: NetworkBuilder, row: Printed, batch: int) -> str:
    channels = _cnn1_channels(row)
    image, width = _cnn1_image(row, channels), _cnn1_width(row, channels)
    x = net.input("images", (batch, COLOURS, image, image))
    halving = {stage * row.conv_layers // STAGES for stage in range(1, STAGES)}
    # one more pool averages what the last convolution leaves
    others = _spread(row.pool_layers - len(halving) - 1, row.conv_layers)
    pools = (f"pool{index}" for index in range(1, row.pool_layers + 1))
    for index, (_, outputs, _) in enumerate(_convolutions(row, channels, image), 1):
        x = _conv(net, index, x, outputs, 3)
        if index in halving:
            x = net.pool(next(pools), x, 3, stride=2, padding="same")
        if index in others:
            x = net.pool(next(pools), x, 3, function="average", stride=1, padding="same")
    _fully_connected(net, net.flatten("flatten", net.global_pool(next(pools), x)), width, row.fc_layers)
    held = _convolution_weights(row, channels)
    return (
        f"{row.conv_layers} convolutions of 3x3 on {image}x{image} images, {channels} channels doubling twice, with "
        f"{held / 1e6:.2f}M weights, and {row.fc_layers} layers of {width} units with the rest"
    )


def _cnn1_channels(row: Printed) -> int:
    """Return the channels of the first stage at which the convolutions come nearest to Inception-v3's weights."""
    given = INCEPTION_PARAMETERS - INCEPTION_CLASSIFIER
    return min(range(1, ARRAY + 1), key=lambda channels: abs(_convolution_weights(row, channels) - given))


def _cnn1_image(row: Printed, channels: int) -> int:
    """Return the rows of the image that come nearest to the printed MACs per weight byte."""
    # an image needs one MAC for each weight of the FC layers
    given = row.weights * row.macs_per_weight_byte / row.batch - _fully_connected_weights(row, channels)
    return min(
        range(1, LARGEST_IMAGE + 1),
        key=lambda image: abs(sum(9 * c * k * rows**2 for c, k, rows in _convolutions(row, channels, image)) - given),
    )


def _cnn1_width(row: Printed, channels: int) -> int:
    """Return the width w at which the FC layers have c w + (layers - 1) w^2 weights, c the channels they read."""
    read, squares = channels << (STAGES - 1), row.fc_layers - 1
    return round((sqrt(read**2 + 4 * squares * _fully_connected_weights(row, channels)) - read) / (2 * squares))


def _fully_connected_weights(row: Printed, channels: int) -> int:
    """Return the printed weights of CNN1 that its convolutions do not hold."""
    return row.weights - _convolution_weights(row, channels)


def _convolution_weights(row: Printed, channels: int) -> int:
    """Return the weights of CNN1's convolutions with `channels` in the first stage."""
    return sum(9 * c * k for c, k, _ in _convolutions(row, channels, 1))


def _convolutions(row: Printed, channels: int, image: int) -> list[tuple[int, int, int]]:
    """Return input channels, output channels and rows of each of CNN1's convolutions."""
    shapes, depth, extent = [], COLOURS, image
    for stage in range(STAGES):
        for _ in range(row.conv_layers // STAGES):
            shapes.append((depth, channels << stage, extent))
            depth = channels << stage
        extent = ceil_div(extent, 2)
    return shapes


def _conv(net: NetworkBuilder, index: int, x: str, channels: int, kernel: int) -> str:
    x = net.conv(f"conv{index}", x, channels, kernel, padding="same", bias=False)
    return net.activation(f"relu{index}", x)


def _spread(count: int, among: int) -> set[int]:
    """Return `count` of the numbers from 1 to `among`, evenly apart."""
    return {index * among // (count + 1) for index in range(1, count + 1)}


BUILDERS: dict[str, Callable[[NetworkBuilder, Printed, int], str]] = {
    "MLP0": _mlp,
    "MLP1": _mlp,
    "LSTM0": _lstm0,
    "LSTM1": _lstm1,
    "CNN0": _cnn0,
    "CNN1": _cnn1,
}
"""What builds each application at a batch, from its row of Table 1, and says what it built."""

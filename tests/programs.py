"""Random programs, and networks compiled for TPU v1 in any size, for the tests of its compiler and its engine."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from strategies import SIDES

from hwsim import catalog
from hwsim.chips.tpu_v1 import tpu_v1
from hwsim.engine import vector
from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent
from hwsim.mapping.compile import compile_network
from hwsim.mapping.placed import Placed
from hwsim.mapping.program import FILLS, Block, Program

WEIGHTS = ("int8", "int8x16", "int16")
"""Formats of TPU v1."""

QUICK: dict[str, Any] = {"rows": 5, "cols": 3, "accumulators": 22}
"""Five rows by three columns, and eleven rows of sums in each half of the accumulators.

A tile of 15 bytes takes 1 cycle to come and 5 to shift in.
"""

SMALL: dict[str, Any] = {**QUICK, "bandwidth_gib_s": 0.1}
"""The same where a tile takes 98 cycles, 15 bytes at 0.1 GiB/s and 700 MHz."""


def compiled(network: Network, fmt: str = "int8", **parameters: Any) -> Program:
    """Return the program of `network` on a TPU v1 with `parameters`."""
    chip, number_format, fused = tpu_v1(**parameters), catalog.number_format(fmt), vector.fused_producers(network)
    place = catalog.dataflow(chip.dataflow)
    placed = [
        Placed(layer, mapping, number_format, fused.get(layer.name, ""))
        for layer in network.layers
        for mapping in [place(layer, chip, number_format) if layer.is_mac else None]
    ]
    return compile_network(network, placed, chip, number_format)


def tpus() -> st.SearchStrategy[dict[str, Any]]:
    """Draw the parameters of a small TPU v1."""
    return st.fixed_dictionaries(
        {
            "rows": SIDES,
            "cols": SIDES,
            "accumulators": st.sampled_from([4, 7, 22, 130, 4096]),
            "fifo_tiles": st.integers(2, 5),
            "bandwidth_gib_s": st.sampled_from([0.3, 1 / 7, 2.0, 30.0]),
            "host_gib_s": st.sampled_from([0.1, 10.0]),
            "issue": st.sampled_from(["in_order", "decoupled"]),
        }
    )


@st.composite
def programs(draw: st.DrawFn, longest: int = 17, slowest: int = 29) -> Program:
    """Draw a program of any blocks, each waiting for any earlier ones, with runs of up to `longest` tiles."""

    def upto(most: int, least: int = 0) -> int:
        return draw(st.integers(least, most))

    def some(before: int) -> tuple[int, ...]:
        return tuple(sorted(draw(st.sets(st.integers(0, before - 1), max_size=2)))) if before else ()

    blocks: list[Block] = []
    for number in range(upto(9, 1)):
        unit = draw(st.sampled_from(sorted(FILLS)))
        repeat = upto(longest, 1) if unit == "tiles" else 1
        blocks.append(Block(unit, upto(LAYERS - 1), upto(slowest), repeat, some(number), some(number)))
    return Program(
        tuple(blocks),
        fetch_cycles=upto(slowest),
        shift_cycles=upto(slowest),
        drain_cycles=upto(7),
        fifo_tiles=upto(4, 1),
        in_order=draw(st.booleans()),
    )


LAYERS = 3
"""Layers of a random program."""


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw a chain of operators on images of 5 x 3, some with what was two operators before as a second operand."""
    net = NetworkBuilder("random")
    before = x = net.input("image", (draw(st.integers(1, 3)), draw(st.sampled_from([2, 5])), 5, 3))
    for index in range(draw(st.integers(1, 4))):
        before, x = x, _operator(net, f"layer{index}", x, before, draw(st.sampled_from(OPERATORS)))
    return net.build()


OPERATORS = ("conv", "depthwise", "pool", "relu", "linear", "residual", "attention", "lstm", "gru")


def _operator(net: NetworkBuilder, name: str, x: str, before: str, operator: str) -> str:
    """Add one of `OPERATORS`; what it gives is an image again."""
    batch, channels, rows, cols = net.shape_of(x)
    if operator == "conv":
        return net.conv(name, x, 7, 3, padding="same")
    if operator == "depthwise":
        return net.conv(name, x, channels, 3, padding="same", groups=channels)
    if operator == "pool":
        return net.pool(name, x, 3, stride=2, padding="same")
    if operator == "relu":
        return net.activation(name, x)
    if operator == "linear":
        return net.linear(name, x, 4)
    if operator == "attention":
        return net.matmul(name, x, net.layout(f"{name}.t", x, (batch, channels, cols, rows), "transpose"))
    if operator == "residual":
        return net.elementwise(name, x, before) if net.shape_of(before) == net.shape_of(x) else net.activation(name, x)
    sequence = net.reshape(f"{name}.in", x, (batch, channels, rows * cols))
    return net.reshape(f"{name}.out", recurrent(net, name, sequence, 3, cell=operator), (batch, channels, 3, 1))

"""What the recurrent families share: layers of one cell on top of one another."""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent

from ._blocks import at_least, named, one_of


def stacked(
    family: str,
    source: str,
    cell: str,
    *,
    layers: int,
    hidden: int,
    inputs: int,
    steps: int,
    batch: int,
    bidirectional: bool,
    biases: int,
    default_inputs: int,
    default_steps: int,
) -> Network:
    """Return `layers` recurrent layers over `batch` sequences (N, steps, inputs), each reading the one before.

    Sizes that are not the defaults are part of the network's name.
    Raises `InputError` for biases other than 0, 1 or 2, and sizes below 1.
    """
    one_of(family, "biases", biases, (0, 1, 2))
    at_least(family, 1, layers=layers, hidden=hidden, inputs=inputs, steps=steps, batch=batch)
    net = NetworkBuilder(
        named(
            f"{'bi' if bidirectional else ''}{cell}{hidden}",
            layers=(layers, 1),
            inputs=(inputs, default_inputs),
            steps=(steps, default_steps),
            biases=(biases, 2),
        )
    )
    x = net.input("sequence", (batch, steps, inputs))
    for index in range(1, layers + 1):
        x = recurrent(net, f"{cell}{index}", x, hidden, cell=cell, biases=biases, bidirectional=bidirectional)
    return net.build(source=source)

"""What the recurrent families share: layers of one cell on top of one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent

from ._blocks import at_least, named, one_of


class Sizes(NamedTuple):
    """What a family is published with: units of a layer, numbers of an input, steps of a sequence."""

    hidden: int
    inputs: int
    steps: int


def stacked(cell: str, sizes: Sizes, source: str) -> Callable[..., Network]:
    """Return the family of networks of `cell`, "lstm", "gru" or "rnn", with `sizes` unless others are asked for."""

    def family(
        layers: int = 1,
        hidden: int = sizes.hidden,
        inputs: int = sizes.inputs,
        steps: int = sizes.steps,
        batch: int = 1,
        bidirectional: bool = False,
        biases: int = 2,
    ) -> Network:
        """Return `layers` recurrent layers over `batch` sequences (N, steps, inputs), each reading the one before.

        `biases` is the bias vectors per gate, 2 in PyTorch and cuDNN, 1 in most of Keras. Sizes that are not the
        family's own are part of the network's name. Raises `InputError` for biases other than 0, 1 or 2, and sizes
        below 1.
        """
        one_of(cell, "biases", biases, (0, 1, 2))
        at_least(cell, 1, layers=layers, hidden=hidden, inputs=inputs, steps=steps, batch=batch)
        name = named(
            f"{'bi' if bidirectional else ''}{cell}{hidden}",
            layers=(layers, 1),
            inputs=(inputs, sizes.inputs),
            steps=(steps, sizes.steps),
            biases=(biases, 2),
        )
        net = NetworkBuilder(name)
        x = net.input("sequence", (batch, steps, inputs))
        for index in range(1, layers + 1):
            x = recurrent(net, f"{cell}{index}", x, hidden, cell=cell, biases=biases, bidirectional=bidirectional)
        return net.build(source=source)

    family.__name__ = family.__qualname__ = cell
    return family

"""Runs the command line in this process, as `hwsim WORDS` would, and user files for it to read."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from textwrap import dedent
from typing import NamedTuple
from unittest.mock import patch

from hwsim.cli import main

TOPOLOGY = dedent(
    """\
    Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
    conv, 11, 13, 3, 5, 2, 7, 1,
    """
)
"""One convolution as SCALE-Sim writes it: 9 x 9 outputs, or 11 x 13 when padded."""

NETWORK = dedent(
    """\
    from hwsim import Network, NetworkBuilder


    def mynet(batch: int = 1, bias: bool = True) -> Network:
        net = NetworkBuilder("[red]mynet[/red]")
        x = net.input("x", (batch, 17))
        x = net.linear("[red]one[/red] :smile:", x, 13, bias=bias)
        net.linear("two\\x1b[31m\\n", x, 7, bias=bias)
        return net.build()
    """
)
"""A user's network with names that a terminal or a table could take for instructions."""

CHIP = dedent(
    """\
    from dataclasses import replace

    from hwsim import Accelerator
    from hwsim.chips.systolic import systolic


    def mychip(rows: int = 5) -> Accelerator:
        chip = systolic(rows=rows, cols=3)
        return replace(chip, name="mychip", array=replace(chip.array, macs_per_cycle={"int8": 1}))
    """
)
"""A user's chip: an array of `rows` x 3 that computes in int8 alone."""


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def hwsim(*words: object, err: StringIO | None = None) -> Ran:
    """Return what `hwsim WORDS` prints and its exit code."""
    out, err = StringIO(), err or StringIO()
    with patch.object(sys, "argv", ["hwsim", *map(str, words)]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
    return Ran(code, out.getvalue(), err.getvalue())


def answer(*words: object) -> str:
    """Return what `hwsim WORDS` prints to standard output; it must succeed."""
    ran = hwsim(*words)
    assert ran.code == 0, ran.err
    return ran.out

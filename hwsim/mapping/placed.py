"""A layer with its place: what an engine is given."""

from __future__ import annotations

from typing import NamedTuple

from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.mapping.loops import Mapping


class Placed(NamedTuple):
    """A layer, its mapping if it runs on the array, its format, and the layer whose results it changes before storing.

    The format says the width in which its results are stored, where that is another's.
    """

    layer: Layer
    mapping: Mapping | None
    fmt: NumberFormat
    fused_into: str = ""

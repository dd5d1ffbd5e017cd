"""A layer with its place: what an engine is given."""

from __future__ import annotations

from typing import NamedTuple

from hwsim.ir.layer import Layer
from hwsim.mapping.loops import Mapping


class Placed(NamedTuple):
    """A layer, its mapping if it runs on the array, and the layer whose results it changes before they are stored."""

    layer: Layer
    mapping: Mapping | None
    fused_into: str = ""

"""What a file of the dataflows folder defines."""

from __future__ import annotations

from typing import Protocol

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.mapping.loops import Mapping


class Dataflow(Protocol):
    """A function that places a matrix-product layer on a chip; raises `InputError` where it cannot."""

    def __call__(self, layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
        """Return the mapping of `layer`."""

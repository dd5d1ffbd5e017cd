"""The record that describes a number format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a number is written in `bits`, and how wide its products are summed.

    Weights may be narrower: `weight_bits`, where it is not 0.

    `kind` is "int" (two's complement) or "fp" (sign, `exponent_bits`, `mantissa_bits` without the hidden one).
    `carrier` is the NumPy type that holds every value exactly; `accumulator` the one that sums its products: modulo
    2^bits for integers, rounded to float32 for floating point.
    """

    name: str
    bits: int
    kind: Literal["int", "fp"]
    accumulator_bits: int
    carrier: str
    accumulator: str
    exponent_bits: int = 0
    mantissa_bits: int = 0
    weight_bits: int = 0
    description: str = ""

    def operand_bits(self, operand: str) -> int:
        """Return the width of a stored "weight", "input" or "output"."""
        return self.weight_bits or self.bits if operand == "weight" else self.bits

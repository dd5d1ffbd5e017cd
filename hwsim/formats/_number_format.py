"""The record that describes a number format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a number is written in `bits`, and how wide its products are summed.

    `kind` is "int" (two's complement) or "fp" (sign, `exponent_bits`, `mantissa_bits` without the hidden one). Weights
    may be narrower, `weight_bits`, and results be stored in another width, `output_bits`, where these are not 0.
    `levels` are all numbers of an integer format that has fewer than its bits can say. With a `codebook` weights are
    indices of `weight_bits` into a table of numbers of `bits`.

    `carrier` is the NumPy type that holds every value exactly; `accumulator` the one that sums its products: modulo
    2^bits for integers, rounded to float32 for floating point. `library_type` names the floating point type of NumPy
    or ml_dtypes that has the same values, where there is one.

    Numbers between two of the format's are rounded to the nearest, ties to even. What is beyond its largest becomes
    that where the format `saturates`, and infinity otherwise; without one (`has_infinity`), as in E4M3, NaN. Integers
    saturate, know neither infinity, NaN nor -0, and have a zero point where they are `affine`.
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
    output_bits: int = 0
    levels: tuple[int, ...] = ()
    codebook: bool = False
    library_type: str = ""
    saturates: bool = False
    has_infinity: bool = True
    affine: bool = False

    def operand_bits(self, operand: str) -> int:
        """Return the width of a stored "weight", "input" or "output"."""
        own = {"weight": self.weight_bits, "output": self.output_bits}.get(operand, 0)
        return own or self.bits

    def multiplied_bits(self, operand: str) -> int:
        """Return the width that a multiplier reads of a "weight" or "input": of tf32's 32 bits, 19."""
        if self.kind == "fp":
            return 1 + self.exponent_bits + self.mantissa_bits
        return self.bits if self.codebook else self.operand_bits(operand)

    def stored_as(self, other: NumberFormat) -> NumberFormat:
        """Return the format of a layer that computes in this one and stores its results in `other`."""
        bits = 0 if other.bits == self.bits else other.bits
        return self if bits == self.output_bits else replace(self, output_bits=bits)

    @property
    def exponent_bias(self) -> int:
        """What is added to the exponent of a floating point number before it is stored."""
        return int((1 << (self.exponent_bits - 1)) - 1)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        if self.kind == "int":
            return float(self.levels[-1] if self.levels else (1 << (self.bits - 1)) - 1)
        # without infinity the top exponent has numbers too, all but the NaN that is all ones
        top, missing = (2, 1) if self.has_infinity else (1, 2)
        exponent = (1 << self.exponent_bits) - top - self.exponent_bias
        return float((2 - missing * 2.0**-self.mantissa_bits) * 2.0**exponent)

    @property
    def lowest(self) -> float:
        """The number farthest below zero."""
        if self.kind == "fp":
            return -self.largest
        return float(self.levels[0] if self.levels else -(1 << (self.bits - 1)))

    @property
    def smallest_normal(self) -> float:
        """The smallest number above zero with all of its mantissa's bits; 1 for integers."""
        return 1.0 if self.kind == "int" else 2.0 ** (1 - self.exponent_bias)

    def holds(self, other: NumberFormat) -> bool:
        """Whether every number of `other`, weights included, is one of this format's."""
        if self.kind != other.kind:
            return False
        if self.kind == "fp":
            wide = self.exponent_bits >= other.exponent_bits and self.mantissa_bits >= other.mantissa_bits
            return wide and self.largest >= other.largest
        pairs = [(self.multiplied_bits(one), other.multiplied_bits(one)) for one in ("weight", "input")]
        fewer = not self.levels or (other.levels and set(other.levels) <= set(self.levels))
        return all(mine >= theirs for mine, theirs in pairs) and bool(fewer)

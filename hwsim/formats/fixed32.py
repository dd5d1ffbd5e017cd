"""32-bit fixed point with 32-bit sums, in which training converges where 16 bits do not."""

from hwsim.formats import NumberFormat

fixed32 = NumberFormat(
    name="fixed32",
    bits=32,
    kind="int",
    accumulator_bits=32,
    carrier="int32",
    accumulator="int32",
    description="32-bit fixed point with 32-bit sums",
)

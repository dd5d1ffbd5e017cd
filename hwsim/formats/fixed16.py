"""16-bit fixed point with 16-bit sums, as early accelerators keep them."""

from hwsim.formats import NumberFormat

fixed16 = NumberFormat(
    name="fixed16",
    bits=16,
    kind="int",
    accumulator_bits=16,
    carrier="int16",
    accumulator="int16",
    description="16-bit fixed point with 16-bit sums",
)

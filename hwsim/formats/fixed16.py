"""16-bit fixed point with 16-bit sums, as early accelerators keep them.

Where the point lies is a matter of quantisation: `hwsim.quantise.fixed(8, 8)` is Q8.8.
"""

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

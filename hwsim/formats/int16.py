"""16-bit integer, products summed in 64 bits."""

from hwsim.formats import NumberFormat

int16 = NumberFormat(
    name="int16",
    bits=16,
    kind="int",
    accumulator_bits=64,
    carrier="int16",
    accumulator="int64",
    affine=True,
    description="16-bit integer, products summed in 64 bits",
)

"""4-bit integer, products summed in 32 bits."""

from hwsim.formats import NumberFormat

int4 = NumberFormat(
    name="int4",
    bits=4,
    kind="int",
    accumulator_bits=32,
    carrier="int8",
    accumulator="int32",
    affine=True,
    description="4-bit integer, products summed in 32 bits",
)

"""8-bit integer, products summed in 32 bits."""

from hwsim.formats import NumberFormat

int8 = NumberFormat(
    name="int8",
    bits=8,
    kind="int",
    accumulator_bits=32,
    carrier="int8",
    accumulator="int32",
    affine=True,
    description="8-bit integer, products summed in 32 bits",
)

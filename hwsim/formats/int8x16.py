"""8-bit integer weights with 16-bit integer activations, products summed in 32 bits."""

from hwsim.formats import NumberFormat

int8x16 = NumberFormat(
    name="int8x16",
    bits=16,
    kind="int",
    accumulator_bits=32,
    carrier="int16",
    accumulator="int32",
    weight_bits=8,
    affine=True,
    description="8-bit integer weights with 16-bit integer activations, products summed in 32 bits",
)

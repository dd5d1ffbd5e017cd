"""IEEE 754 binary32."""

from hwsim.formats import NumberFormat

fp32 = NumberFormat(
    name="fp32",
    bits=32,
    kind="fp",
    accumulator_bits=32,
    carrier="float32",
    accumulator="float32",
    exponent_bits=8,
    mantissa_bits=23,
    library_type="float32",
    description="IEEE 754 binary32",
)

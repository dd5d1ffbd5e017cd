"""bfloat16, products summed in binary32."""

from hwsim.formats import NumberFormat

bf16 = NumberFormat(
    name="bf16",
    bits=16,
    kind="fp",
    accumulator_bits=32,
    carrier="float32",
    accumulator="float32",
    exponent_bits=8,
    mantissa_bits=7,
    library_type="bfloat16",
    description="bfloat16, products summed in binary32",
)

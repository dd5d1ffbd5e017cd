"""IEEE 754 binary16, products summed in binary32."""

from hwsim.formats import NumberFormat

fp16 = NumberFormat(
    name="fp16",
    bits=16,
    kind="fp",
    accumulator_bits=32,
    carrier="float32",
    accumulator="float32",
    exponent_bits=5,
    mantissa_bits=10,
    library_type="float16",
    description="IEEE 754 binary16, products summed in binary32",
)

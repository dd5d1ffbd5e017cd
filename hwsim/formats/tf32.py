"""TensorFloat-32, products summed in binary32: stored in 32 bits, of which multipliers read 19.

NVIDIA A100 Tensor Core GPU Architecture, 2020: sign, 8 bits of exponent and 10 of mantissa. Rounded to nearest even
here; the `cvt.rna` of those GPUs rounds ties away from zero, and tensor cores given binary32 drop the last 13 bits.
"""

from hwsim.formats import NumberFormat

tf32 = NumberFormat(
    name="tf32",
    bits=32,
    kind="fp",
    accumulator_bits=32,
    carrier="float32",
    accumulator="float32",
    exponent_bits=8,
    mantissa_bits=10,
    description="TensorFloat-32, stored in 32 bits, products summed in binary32",
)

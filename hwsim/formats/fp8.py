"""8-bit floating point E4M3, products summed in binary32.

Open Compute Project, 8-bit Floating Point Specification (OFP8) 1.0, 2023: 448 is the largest number, the top exponent
has numbers but for the NaN that is all ones, and there is no infinity. Conversion is in its saturating mode, which is
the one that NVIDIA's instructions have (PTX, `cvt.rn.satfinite`); the other makes NaN of what is too large.
"""

from hwsim.formats import NumberFormat

fp8 = NumberFormat(
    name="fp8",
    bits=8,
    kind="fp",
    accumulator_bits=32,
    carrier="float32",
    accumulator="float32",
    exponent_bits=4,
    mantissa_bits=3,
    library_type="float8_e4m3fn",
    saturates=True,
    has_infinity=False,
    description="8-bit floating point E4M3, products summed in binary32",
)

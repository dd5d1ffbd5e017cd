"""8-bit floating point E5M2, products summed in binary32.

Open Compute Project, 8-bit Floating Point Specification (OFP8) 1.0, 2023: binary16 without the last 8 bits, so that
57344 is the largest number and infinity and NaN are IEEE 754's. Conversion is in its saturating mode; the other makes
infinity of what is too large.
"""

from hwsim.formats import NumberFormat

fp8_e5m2 = NumberFormat(
    name="fp8_e5m2",
    bits=8,
    kind="fp",
    accumulator_bits=32,
    carrier="float32",
    accumulator="float32",
    exponent_bits=5,
    mantissa_bits=2,
    library_type="float8_e5m2",
    saturates=True,
    description="8-bit floating point E5M2, products summed in binary32",
)

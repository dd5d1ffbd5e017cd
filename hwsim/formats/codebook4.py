"""4-bit indices into a codebook of 16-bit fixed-point weights, 16-bit activations and sums, as in EIE."""

from hwsim.formats import NumberFormat

codebook4 = NumberFormat(
    name="codebook4",
    bits=16,
    kind="int",
    accumulator_bits=16,
    carrier="int16",
    accumulator="int16",
    weight_bits=4,
    codebook=True,
    description="4-bit indices into a codebook of 16-bit fixed-point weights, 16-bit activations and sums",
)

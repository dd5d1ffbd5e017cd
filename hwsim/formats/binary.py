"""-1 and 1 in one bit, 0 and 1, products summed in 32 bits (Rastegari et al., XNOR-Net, ECCV 2016)."""

from hwsim.formats import NumberFormat

binary = NumberFormat(
    name="binary",
    bits=1,
    kind="int",
    accumulator_bits=32,
    carrier="int8",
    accumulator="int32",
    levels=(-1, 1),
    description="-1 and 1 in one bit, products summed in 32 bits",
)

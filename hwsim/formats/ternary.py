"""-1, 0 and 1 in 2 bits of two's complement, products summed in 32 bits (Li et al., Ternary Weight Networks, 2016)."""

from hwsim.formats import NumberFormat

ternary = NumberFormat(
    name="ternary",
    bits=2,
    kind="int",
    accumulator_bits=32,
    carrier="int8",
    accumulator="int32",
    levels=(-1, 0, 1),
    description="-1, 0 and 1 in 2 bits, products summed in 32 bits",
)

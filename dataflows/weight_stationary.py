"""Weight-stationary: each PE keeps one weight.

Rows hold the reduction C R S, columns the output channels K, and the output positions
N P Q stream through. Inputs move right, partial sums down; those of row folds add up in the output buffer.

Taxonomy: Chen, Emer and Sze, ISCA 2016, Sec. III; timing: Samajdar et al. (SCALE-Sim), ISPASS 2020, Sec. III.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.systolic import place


def weight_stationary(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the fastest mapping of `layer` that keeps its weights in the PEs."""
    return place(layer, chip, fmt, stationary="weight", dataflow="weight_stationary")

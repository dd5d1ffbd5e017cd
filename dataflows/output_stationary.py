"""Output-stationary: each PE keeps one output.

Rows hold the output positions N P Q, columns the output channels K, and the
reduction C R S streams through. Inputs move right, weights down, and a finished sum leaves on its column's bus.

Taxonomy: Chen, Emer and Sze, ISCA 2016, Sec. III; timing: Samajdar et al. (SCALE-Sim), ISPASS 2020, Sec. III.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.systolic import place


def output_stationary(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the fastest mapping of `layer` that keeps its outputs in the PEs."""
    return place(layer, chip, fmt, stationary="output", dataflow="output_stationary")

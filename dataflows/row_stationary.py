"""Row-stationary: each PE keeps one row of a filter and slides it along one row of the ifmap.

Sets of R x e PEs compute e rows of an ofmap channel; partial sums go up a column of a set, and between passes stay in
the global buffer. Sets lie on the array by channels and by filters, folded where they are wider than it.

Chen, Emer and Sze, ISCA 2016, Sec. V; mapping parameters: Chen et al., JSSC 52(1), 2017, Table II.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.row_stationary_place import place


def row_stationary(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the mapping of `layer` on PE sets that the chip's options ask for."""
    return place(layer, chip, fmt, dataflow="row_stationary")

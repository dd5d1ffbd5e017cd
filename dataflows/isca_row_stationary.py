"""Row-stationary on ISCA 2016's storage area: rows of filters and inputs stay in the PEs.

RS of Chen, Emer and Sze, Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional Neural
Networks, ISCA 2016: the mapping of least energy, DRAM included.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping


def isca_row_stationary(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the RS mapping of least energy of `layer`."""
    # not above: listing the dataflows imports this file, and the search needs numpy
    from hwsim.mapping.isca2016 import row_stationary
    from hwsim.mapping.isca2016.mapping import place

    return place(layer, chip, fmt, row_stationary, dataflow="isca_row_stationary")

"""No local reuse, on ISCA 2016's storage area: PEs keep nothing, all of it is buffer.

NLR of Chen, Emer and Sze, Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional Neural
Networks, ISCA 2016: the mapping of least energy, DRAM included.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping


def isca_no_local_reuse(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the NLR mapping of least energy of `layer`."""
    # not above: listing the dataflows imports this file, and the search needs numpy
    from hwsim.mapping.isca2016 import no_local_reuse
    from hwsim.mapping.isca2016.mapping import place

    return place(layer, chip, fmt, no_local_reuse, dataflow="isca_no_local_reuse")

"""No local reuse: every product reads its synapse from memory; neurons are broadcast to all outputs of a cycle.

Convolutions are cut into rectangles of the image, one per node and one per tile; fully connected layers by outputs,
each output's synapses staying in the eDRAM of its tile.

Chen et al., DaDianNao: A Machine-Learning Supercomputer, MICRO 2014, Sec. V; the name is that of Chen, Emer
and Sze, Eyeriss, ISCA 2016, whose example it is.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.nodes import place_on_nodes


def no_local_reuse(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the mapping of `layer` on nodes, their tiles, and the lanes of a tile."""
    return place_on_nodes(layer, chip, fmt)

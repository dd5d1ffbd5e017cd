"""Weight-stationary in tiles: a tile of weights stays in the PEs while a chunk of positions passes.

Rows hold the reduction C R S, columns the output channels K. The sums of a chunk stay in accumulators until all row
tiles have been added, and the chunk is as long as half of the accumulators allows.

Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA 2017, Sec. 2.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.tiled import place_tiled


def weight_stationary_tiled(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the mapping of `layer` in tiles of weights with sums kept in accumulators."""
    return place_tiled(layer, chip, fmt, dataflow="weight_stationary_tiled")

"""Cache blocks: sums stay in registers, a block's inputs and filters in the caches; threads share outputs.

The blocking of matrix products on CPUs: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM
TOMS 34(3), 2008; of convolutions: Georganas et al., Anatomy of high-performance deep learning convolutions on SIMD
architectures, SC 2018.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.cpu.blocks import place_blocks


def cache_blocks(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the mapping of `layer` in blocks on the threads of a CPU."""
    return place_blocks(layer, chip, fmt)

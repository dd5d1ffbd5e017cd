"""Thread blocks: each streaming multiprocessor keeps a block of outputs until its sums are complete.

The output positions N P Q and the output channels K are cut into blocks that a wave of SMs computes side by side; the
reduction C R S passes through shared memory in pieces, or is split over blocks whose sums are added afterwards. The
block is the one that NVIDIA's libraries would take: the fastest of those they have.

    waves of blocks | SMs | reduction | outputs of a block

Kerr et al., CUTLASS: fast linear algebra in CUDA C++, 2017; Lavin and Gray, CVPR 2016 (Winograd).
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.gpu.place import place


def thread_blocks(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the fastest kernel for `layer` as a blocked, output-stationary nest."""
    return place(layer, chip, fmt)

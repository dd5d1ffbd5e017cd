"""Smaller networks: functions from a network with tensors to another one, with a report of size, density and error.

| module            | what                                                                                       |
|-------------------|--------------------------------------------------------------------------------------------|
| `weights`         | seeded weights for networks that have none                                                 |
| `report`          | `Compressed`: a network and, layer by layer, what compressing it saved and cost             |
| `pruning`         | the smallest weights become zero                                                           |
| `sharing`         | weights become entries of a codebook, by k-means                                           |
| `huffman`         | sizes under Huffman coding                                                                 |
| `low_rank`        | a fully connected layer becomes two thinner ones, by singular values                       |
| `pipeline`        | pruning, sharing and coding together, with AlexNet's fully connected layers as the example |
| `columns`         | EIE's format: compressed sparse columns over processing elements                           |
| `winograd`        | 3x3 filters as 16 matrices                                                                 |
| `deep_compressed` | reads the published Deep-Compressed SqueezeNet                                             |
| `eie_layer`       | reads a layer of EIE's authors, with its input vector                                      |

    from hwsim.compress import prune, share, with_weights

    small = share(prune(with_weights(network), density=0.1).network, bits=4)
    hwsim.simulate(small.network, on="eie")
"""

from hwsim.compress.huffman import huffman_bits
from hwsim.compress.low_rank import factorise
from hwsim.compress.pipeline import deep_compress, fully_connected
from hwsim.compress.pruning import prune
from hwsim.compress.report import Compressed, LayerReport
from hwsim.compress.sharing import share
from hwsim.compress.weights import with_weights

__all__ = [
    "Compressed",
    "LayerReport",
    "deep_compress",
    "factorise",
    "fully_connected",
    "huffman_bits",
    "prune",
    "share",
    "with_weights",
]

"""Compressed sparse columns: each non-zero input is broadcast to all PEs with its column of the matrix.

Row i of the matrix, and sum i, stay on PE i mod n; inputs and weights that are zero are skipped.

Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016, Sec. III.
"""

from hwsim.arch import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir import Layer
from hwsim.mapping import Mapping
from hwsim.mapping.compressed import place_compressed


def compressed_sparse_column(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Mapping:
    """Return the mapping of `layer` as products of compressed matrices and vectors."""
    return place_compressed(layer, chip, fmt, dataflow="compressed_sparse_column")

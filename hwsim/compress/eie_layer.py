"""Reads a layer of EIE's authors with its input vector: an .npz of `codes`, `codebook` and `activations`.

`codes` (rows, columns) are indices into `codebook`, 0 for a pruned weight; where there is one column more than
`activations`, the last one holds the biases. Published as data of the repository RalphMao/EIE-simulator.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsim.compress.weights import Array
from hwsim.errors import InputError
from hwsim.ir.builder import NetworkBuilder
from hwsim.ir.network import Network
from hwsim.ir.untrusted import read_bounded

SOURCE = "Han et al., ISCA 2016; data of the repository RalphMao/EIE-simulator"
MAX_BYTES, MAX_UNPACKED_BYTES = 64 * 2**20, 512 * 2**20
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What reading a damaged .npz raises: archives, their compression and headers of arrays have errors of their own."""

ARRAYS = {"codes": 2, "codebook": 1, "activations": 1}
"""What must be in the file, with its dimensions."""


def eie_layer_network(path: Path) -> Network:
    """Return a network of the one layer in the .npz at `path`, with its weights and the vector it reads.

    Raises `UsageError` where there is no file and `InputError` for one that is damaged, lacks an array, or whose codes
    are not in the codebook.
    """
    codes, codebook, activations = (_array(path, name) for name in ARRAYS)
    rows, cols = codes.shape
    biased = cols - len(activations)
    if codes.dtype.kind not in "iu" or not codes.size or int(codes.min()) < 0 or int(codes.max()) >= len(codebook):
        raise InputError(f"EIE layer '{path}': codes must be whole numbers below {len(codebook)}, its codebook's size")
    if biased not in (0, 1) or not np.isfinite(codebook).all() or not np.isfinite(activations).all():
        raise InputError(
            f"EIE layer '{path}': {cols} columns need as many activations, or one less for a column of biases, and all "
            f"must be finite; there are {len(activations)}"
        )
    weights = np.where(codes > 0, codebook[codes], 0).astype(np.float32)
    net, names = NetworkBuilder(path.stem), ("layer.weight", "layer.bias")[: 1 + biased]
    net.linear("layer", net.input("activations", (1, len(activations))), rows, bias=bool(biased), weights=names)
    tensors: dict[str, Array] = {"layer.weight": weights[:, : len(activations)], "activations": activations}
    if biased:
        tensors["layer.bias"] = weights[:, -1]
    network = net.build(source=SOURCE, tensors=tensors)
    density = max(1, int(np.count_nonzero(tensors["layer.weight"]))) / tensors["layer.weight"].size
    read = max(1, int(np.count_nonzero(activations))) / len(activations)
    (layer,) = network.layers
    return replace(network, layers=(replace(layer, weight_density=density, input_density=read),))


def _array(path: Path, name: str) -> Array:
    """Return an array of the file; objects are not unpickled, nor is more unpacked than fits."""
    data = read_bounded(path, "EIE layer", MAX_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise InputError(
                    f"EIE layer '{path}' unpacks to more than the {MAX_UNPACKED_BYTES} bytes that are read"
                )
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found: Array = arrays[name]
    except KeyError:
        raise InputError(f"EIE layer '{path}' has no array '{name}'; it needs {', '.join(ARRAYS)}") from None
    except DAMAGED as error:
        raise InputError(f"EIE layer '{path}' is damaged or no .npz file: {error}") from None
    if found.ndim != ARRAYS[name] or found.dtype.kind not in "iuf":
        raise InputError(
            f"EIE layer '{path}': '{name}' has {found.ndim} dimensions of {found.dtype}, not {ARRAYS[name]}"
        )
    return found

"""Inputs on which a network's densities are measured: a file that somebody else made, or random values."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from math import prod
from pathlib import Path
from tokenize import TokenError

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.forward import densities, forward
from hwsim.functional.layouts import rows_of_table
from hwsim.functional.parameters import Array
from hwsim.ir.layer import Layer, Shape
from hwsim.ir.network import Network
from hwsim.ir.untrusted import read_bounded

RANDOM = "random"

HEADER_BYTES, LARGEST_ELEMENT_BYTES = 64 * 1024, 16
"""More than the header of an .npy file takes, and the largest number in one."""


def measured(network: Network, source: str, seed: int = 0) -> Network:
    """Return `network` with the densities measured on `source`, an .npy file or "random"; a note says so.

    Weights that the network does not have are drawn from `seed`, and so are random inputs.
    """
    values = forward(network, inputs_of(network, source, seed), seed=seed)
    drawn = sum(1 for layer in network.layers if _is_drawn(layer, network))
    what = f"random inputs (seed {seed})" if source == RANDOM else f"'{source}'"
    said = f"densities of inputs are measured on {what}"
    if drawn:
        said += f"; the weights of {drawn} products are random (seed {seed}), so that they are no trained network's"
    return replace(densities(network, values), notes=(*network.notes, said))


def _is_drawn(layer: Layer, network: Network) -> bool:
    """Whether a product's weights are not among the network's tensors."""
    name = layer.weights[0] if layer.weights else f"{layer.name}.weight"
    return layer.is_mac and len(layer.inputs) == 1 and name not in network.tensors


def inputs_of(network: Network, source: str, seed: int = 0) -> dict[str, Array]:
    """Return a value for every input that is no state; a file is one for a network with one.

    Random ones are standard normal, or rows of the table that they are looked up in.
    """
    shapes = {tensor.name: tensor.shape for tensor in network.inputs if tensor.carried_from is None}
    if source == RANDOM:
        generator, rows = np.random.default_rng(seed), _rows(network)
        return {
            name: generator.integers(0, rows[name], shape).astype(np.float32)
            if name in rows
            else generator.standard_normal(shape, dtype=np.float32)
            for name, shape in shapes.items()
        }
    if len(shapes) != 1:
        raise InputError(
            f"network '{network.name}' has {len(shapes)} inputs ({', '.join(shapes)}), but '{source}' holds one"
        )
    ((name, shape),) = shapes.items()
    return {name: read_array(Path(source), shape)}


def _rows(network: Network) -> dict[str, int]:
    """Return of each input that is looked up the rows of the smallest table."""
    rows: dict[str, int] = {}
    for layer in network.layers:
        if layer.function == "embedding" and (counted := rows_of_table(layer, network)):
            rows[layer.inputs[0]] = min(counted, rows.get(layer.inputs[0], counted))
    return rows


def read_array(path: Path, shape: Shape) -> Array:
    """Return the numbers in the .npy file at `path` as float32, of `shape`; one input of a batch serves for all.

    Raises `UsageError` where there is no file, `InputError` where it holds objects, another shape or values that are
    not finite. No more is read than the shape needs.
    """
    limit = HEADER_BYTES + LARGEST_ELEMENT_BYTES * prod(shape)
    data = read_bounded(path, "input", limit)
    try:
        # not np.load, which would also take archives
        array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, MemoryError, TypeError, OverflowError, TokenError) as error:
        raise InputError(f"input '{path}' is no .npy file of real numbers") from error
    if array.dtype.kind not in "iufb":
        raise InputError(f"input '{path}' is no .npy file of real numbers")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"input '{path}' holds values that are not finite in float32")
    if values.shape == shape:
        return values
    if shape and values.shape in (shape[1:], (1, *shape[1:])):
        return np.ascontiguousarray(np.broadcast_to(values, shape))
    raise InputError(f"input '{path}' has shape {values.shape}, but the network needs {shape}")

"""Inputs on which a network's densities are measured: a file that somebody else made, or random values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from math import prod
from pathlib import Path
from statistics import fmean
from tokenize import TokenError
from warnings import catch_warnings

import numpy as np

from hwsim.errors import InputError, counted
from hwsim.functional.forward import densities, forward
from hwsim.functional.layouts import rows_of_table
from hwsim.functional.parameters import Array
from hwsim.ir.layer import Layer, Shape
from hwsim.ir.network import Network
from hwsim.ir.untrusted import read_bounded

RANDOM = "random"

HEADER_BYTES, LARGEST_ELEMENT_BYTES = 64 * 1024, 16
"""More than the header of an .npy file takes, and the largest number in one."""

UNREADABLE = (
    ValueError, OSError, EOFError, SyntaxError, MemoryError, TypeError, ArithmeticError, LookupError, RuntimeError,
    TokenError,
)  # fmt: skip
"""What numpy raises at a header that is none: it is parsed as Python is, to whatever depth."""

LARGEST_FILE_BYTES = 2**30
"""Of a file with more inputs than one batch."""


def measured(network: Network, source: str, seed: int = 0, several: bool = False) -> Network:
    """Return `network` with the densities measured on `source`, an .npy file or "random"; a note says so.

    With `several` a file may hold the inputs of more than one batch, and densities are their mean. Weights that the
    network does not have are drawn from `seed`, and so are random inputs.
    """
    batches = batches_of(network, source, seed) if several else [inputs_of(network, source, seed)]
    found = [densities(network, forward(network, one, seed=seed)) for one in batches]
    said = f"densities of inputs are measured on {described(source, seed)}"
    if drawn := drawn_products(network):
        products = counted(drawn, "product")
        said += f"; the weights of {products} are random (seed {seed}), so that they are no trained network's"
    return replace(_mean_densities(found), notes=(*network.notes, said))


def _mean_densities(found: Sequence[Network]) -> Network:
    """Return the first of networks that differ in densities, with their means."""
    layers = (
        replace(
            layers[0],
            input_density=fmean(one.input_density for one in layers),
            weight_density=fmean(one.weight_density for one in layers),
        )
        for layers in zip(*(network.layers for network in found), strict=True)
    )
    return found[0] if len(found) == 1 else replace(found[0], layers=tuple(layers))


def described(source: str, seed: int) -> str:
    """Return what a note calls an input."""
    return f"random inputs (seed {seed})" if source == RANDOM else f"'{source}'"


def drawn_products(network: Network) -> int:
    """Return how many products have weights that are not among the network's tensors."""
    return sum(1 for layer in network.layers if _is_drawn(layer, network))


def _is_drawn(layer: Layer, network: Network) -> bool:
    """Whether a product's weights are not among the network's tensors."""
    name = layer.weights[0] if layer.weights else f"{layer.name}.weight"
    return layer.is_mac and len(layer.inputs) == 1 and name not in network.tensors


def inputs_of(network: Network, source: str, seed: int = 0) -> dict[str, Array]:
    """Return a value for every input that is no state; a file is one for a network with one.

    Random ones are standard normal, or rows of the table that they are looked up in.
    """
    shapes = {tensor.name: tensor.shape for tensor in network.inputs if tensor.name not in network.states}
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


def batches_of(network: Network, source: str, seed: int = 0) -> list[dict[str, Array]]:
    """Return the inputs of one batch after the other; a file may hold those of several, one after the other.

    Raises `InputError` as `inputs_of`, and where the last batch is not full.
    """
    shapes = {tensor.name: tensor.shape for tensor in network.inputs if tensor.name not in network.states}
    if source == RANDOM or len(shapes) != 1:
        return [inputs_of(network, source, seed)]
    ((name, shape),) = shapes.items()
    values = _numbers(Path(source), LARGEST_FILE_BYTES)
    if not shape or values.ndim != len(shape) or values.shape[1:] != shape[1:] or len(values) <= shape[0]:
        return [{name: _shaped(values, source, shape)}]
    if len(values) % shape[0]:
        raise InputError(f"input '{source}' holds {len(values)} inputs, which are no batches of {shape[0]}")
    return [{name: part} for part in np.split(values, len(values) // shape[0])]


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
    return _shaped(_numbers(path, HEADER_BYTES + LARGEST_ELEMENT_BYTES * prod(shape)), path, shape)


def _numbers(path: Path, limit_bytes: int) -> Array:
    """Return the finite numbers in the .npy file at `path`, which is no larger than the limit."""
    data = read_bounded(path, "input", limit_bytes)
    try:
        # not np.load, which would also take archives; of headers by Python 2 numpy warns, and reads them
        with catch_warnings(action="ignore"):
            array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    except UNREADABLE as error:
        raise InputError(f"input '{path}' is no .npy file of real numbers") from error
    if array.dtype.kind not in "iufb":
        raise InputError(f"input '{path}' is no .npy file of real numbers")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"input '{path}' holds values that are not finite in float32")
    return values


def _shaped(values: Array, path: Path | str, shape: Shape) -> Array:
    """Return the values of a batch, or one input for all of a batch, in `shape`."""
    if values.shape == shape:
        return values
    if shape and values.shape in (shape[1:], (1, *shape[1:])):
        return np.ascontiguousarray(np.broadcast_to(values, shape))
    raise InputError(f"input '{path}' has shape {values.shape}, but the network needs {shape}")

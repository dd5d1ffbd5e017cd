"""What the three output-stationary dataflows share: sums stay in their PEs, and filters in the buffer.

Chen, Emer and Sze, ISCA 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.mapping.isca2016.search import Access, Storage, Tile
from hwsim.mapping.isca2016.shape import Shape

RULE = "a filter and the inputs of an output must fit the buffer, a sum a PE's registers"


def channels_in_buffer(shape: Shape, storage: Storage, input_words: Any) -> Any:
    """Return the output channels whose filters fit the buffer beside `input_words`; none without registers."""
    room = storage.buffer_words - input_words if storage.rf_words else 0 * input_words
    return np.clip(room // shape.reduction, 0, shape.K)


def complete_sums(
    shape: Shape, dram_inputs: Any, buffer_inputs: Any, weights: Any, passed_weights: Any
) -> dict[Access, Any]:
    """Return the accesses; sums stay in their registers, where each product but the first reads and writes them."""
    sums = shape.outputs * (shape.reduction - 1)
    return {
        ("dram", "read", "weight"): shape.weights,
        ("dram", "read", "input"): dram_inputs,
        ("dram", "write", "output"): shape.outputs,
        ("buffer", "read", "weight"): weights,
        ("buffer", "read", "input"): buffer_inputs,
        ("array", "transfer", "weight"): passed_weights,
        ("array", "transfer", "input"): shape.macs,
        ("rf", "read", "psum"): sums,
        ("rf", "write", "psum"): sums,
    }


def blocks_of_outputs(channels: tuple[str, int], block: tuple[tuple[str, int], ...]) -> tuple[Tile, ...]:
    """Return the loops over channels in the buffer, and blocks of outputs in the array."""
    spatial = [Tile("rf", dim, size, spatial=True) for dim, size in block]
    return (
        Tile("dram", "G", 1),
        Tile("dram", *channels),
        *(Tile("buffer", dim, size) for dim, size in block),
        *spatial,
    )

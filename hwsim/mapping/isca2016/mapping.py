"""The mapping that a dataflow gives a layer: its parameters, its accesses and its loop nest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.mapping.isca2016.search import Access, Found, Reuse, Storage, Tile, least_energy
from hwsim.mapping.isca2016.shape import shape_of
from hwsim.mapping.loops import Loop, Mapping
from hwsim.units import BITS_PER_BYTE, BYTES_PER_KIB

LEVELS = ("dram", "buffer", "array", "rf")


@dataclass(frozen=True)
class AccessMapping(Mapping):
    """A layer's mapping parameters, the words that each level gives and takes over all groups, and its PEs."""

    parameters: dict[str, int]
    accesses: dict[Access, int]
    active_pes: int
    pes: int
    tiles: tuple[Tile, ...]

    @cached_property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward; those over PEs are innermost."""
        open_extents, loops = self.bounds, []
        spatial = {tile.dim: tile.size for tile in self.tiles if tile.spatial}
        closing = [Tile("rf", dim, spatial.get(dim, 1)) for dim in open_extents]
        outward = [*(tile for tile in self.tiles if not tile.spatial), *closing]
        for level, dim, size, _ in outward:
            if size < open_extents[dim]:
                loops.append(Loop(level, dim, open_extents[dim], size))
                open_extents[dim] = size
        over_pes = [Loop("rf", dim, open_extents[dim], 1, "pes") for dim in spatial if open_extents[dim] > 1]
        return (*loops, *over_pes)

    @property
    def bounds(self) -> dict[str, int]:
        """The layer's loop bounds, repetitions in "G"."""
        layer = self.layer
        bounds = {dim: getattr(layer, dim) for dim in "NKCPQRS"}
        return {"G": layer.G * layer.steps, **bounds}

    @property
    def sides(self) -> dict[str, int]:
        """The PEs, among which the dataflow divides several dimensions."""
        return {"pes": self.pes}

    def check(self) -> None:
        """Raise `InputError` unless the nest covers the layer once and all its loops over PEs fit together."""
        super().check()
        used = prod(loop.bound for loop in self.nest if loop.axis)
        if used > self.pes:
            raise InputError(f"mapping of '{self.layer.name}': {used} PEs do not fit {self.pes}")


def place(layer: Layer, chip: Accelerator, fmt: NumberFormat, reuse: Reuse, dataflow: str) -> AccessMapping:
    """Return the mapping of least energy of `layer` by the dataflow `reuse`, in the storage that `chip` gives it.

    Raises `InputError` for a chip whose storage is not divided for `dataflow`, and a layer of which nothing fits.
    """
    storage = storage_of(chip, fmt, dataflow)
    found = least_energy(reuse, shape_of(layer), storage)
    if found is None:
        raise InputError(
            f"layer '{layer.name}' has no {dataflow} mapping on chip '{chip.name}' with {_said(storage, fmt)}: "
            f"{reuse.RULE}"
        )
    return _mapping(layer, dataflow, found, storage, reuse)


def storage_of(chip: Accelerator, fmt: NumberFormat, dataflow: str) -> Storage:
    """Return what `dataflow` is given of the storage area of `chip`, in words of `fmt`."""
    divided = chip.options.get("storage", {})
    if dataflow not in divided:
        raise InputError(
            f"chip '{chip.name}' has no storage area that dataflow '{dataflow}' divides; chip isca2016 has"
        )
    rf_bytes, buffer_bytes = divided[dataflow]
    words = (rf_bytes * BITS_PER_BYTE // fmt.bits, buffer_bytes * BITS_PER_BYTE // fmt.bits)
    return Storage(chip.array.rows * chip.array.cols, *words, tuple(chip.options["costs"].items()))


def _mapping(layer: Layer, dataflow: str, found: Found, storage: Storage, reuse: Reuse) -> AccessMapping:
    copies = layer.G * layer.steps
    return AccessMapping(
        layer,
        dataflow,
        parameters=found.parameters,
        accesses={access: copies * count for access, count in found.accesses.items()},
        active_pes=found.active_pes,
        pes=storage.pes,
        tiles=reuse.tiles(shape_of(layer), found.parameters),
    )


def _said(storage: Storage, fmt: NumberFormat) -> str:
    buffer_kib = storage.buffer_words * fmt.bits / BITS_PER_BYTE / BYTES_PER_KIB
    return f"{storage.pes} PEs of {storage.rf_words} words each and a buffer of {buffer_kib:.0f} KiB"

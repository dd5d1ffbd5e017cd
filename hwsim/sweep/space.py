"""WHAT is swept: full grids of one network family on one chip family, numbered point by point.

A point is named by its ordinal in the space, and identified by its key: another space that has the same point gives
it the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import chain, pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UsageError

from .identity import KEY_BYTES, SCHEMA, cell_type, stamped

MAX_VALUES = 10_000_000
"""Values of an axis at most."""

MAX_POINTS = 1_000_000_000
"""Points of a space at most."""

NETWORK, CHIP = "network_", "chip_"
"""What the names of axes start with that are parameters of a network and of a chip."""

SETTINGS = ("dataflow", "format", "weight_density", "input_density")
"""The axes that every block has behind its parameters, if only with one value."""

Ordinals = NDArray[np.int64]
Column = NDArray[np.object_]


class Point(NamedTuple):
    """What names one simulation. Specs are canonical: no blanks, parameters by name in the alphabet's order.

    A dataflow or format of "" is the chip's own (the format may be the network's); a density of None the network's.
    """

    network: str
    chip: str
    dataflow: str
    format: str
    weight_density: float | None
    input_density: float | None


class Axis(NamedTuple):
    """A column that differs between points, and its values: texts as specs have them, densities as numbers or None."""

    name: str
    values: tuple[Any, ...]


class Block(NamedTuple):
    """A full grid of one network family on one chip family.

    `network` and `chip` are names or paths, `fixed_network` and `fixed_chip` their parameters of one value. `axes` are
    the swept parameters of the network, those of the chip, then all of `SETTINGS`; the last changes fastest, so that
    neighbours share all that is costly.
    """

    network: str
    chip: str
    fixed_network: tuple[tuple[str, str], ...]
    fixed_chip: tuple[tuple[str, str], ...]
    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """Return the number of points."""
        return prod(len(axis.values) for axis in self.axes)

    def axes_of(self, prefix: str) -> tuple[Axis, ...]:
        """Return the swept parameters of the network (`NETWORK`) or of the chip (`CHIP`)."""
        return tuple(axis for axis in self.axes if axis.name.startswith(prefix))

    def fixed(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """Return the parameters of one value of the network (`NETWORK`) or of the chip (`CHIP`)."""
        return self.fixed_network if prefix == NETWORK else self.fixed_chip

    def digits(self, local: Ordinals) -> dict[str, Ordinals]:
        """Return, by axis, which of its values the points at ordinals `local` of this block have."""
        found, rest = {}, np.asarray(local, np.int64)
        for axis in reversed(self.axes):
            rest, found[axis.name] = np.divmod(rest, len(axis.values))
        return dict(reversed(found.items()))

    def columns(self, local: Ordinals) -> list[Column]:
        """Return the columns of `Point` at ordinals `local` of this block."""
        digits = self.digits(local)
        settings = [taken(axis.values, digits[axis.name]) for axis in self.axes[-len(SETTINGS) :]]
        return [self._specs(NETWORK, digits), self._specs(CHIP, digits), *settings]

    def parameters(self, prefix: str, digits: dict[str, Ordinals]) -> Iterator[tuple[str, Column | str]]:
        """Yield each parameter of the network or chip, named as its column: its one value, or that of every point."""
        for key, value in self.fixed(prefix):
            yield f"{prefix}{key}", value
        for axis in self.axes_of(prefix):
            yield axis.name, taken(axis.values, digits[axis.name])

    def _specs(self, prefix: str, digits: dict[str, Ordinals]) -> Column:
        """Return the network's or the chip's spec at each point; each that occurs is spelled once."""
        which = np.zeros(len(next(iter(digits.values()))), np.int64)
        for axis in self.axes_of(prefix):
            which = which * len(axis.values) + digits[axis.name]
        _, firsts, inverse = np.unique(which, return_index=True, return_inverse=True)
        found = self.parameters(prefix, {name: one[firsts] for name, one in digits.items()})
        texts = sorted((name.removeprefix(prefix), value) for name, value in found)
        name = self.network if prefix == NETWORK else self.chip
        columns = [[f"{key}={one}" for one in _each(value, len(firsts))] for key, value in texts]
        specs = [f"{name}:{text}" for text in map(",".join, zip(*columns, strict=True))] or [name] * len(firsts)
        return taken(specs, inverse)


def taken(values: Sequence[Any], which: Ordinals) -> Column:
    """Return `values` at the places `which`, as the objects they are."""
    found = np.empty(min(len(values), len(which)), object)
    if len(values) > len(which):
        found[:] = [values[place] for place in which.tolist()]
        return found
    found[:] = values
    return found[which]


def _each(value: Column | str, count: int) -> Sequence[str]:
    return [value] * count if isinstance(value, str) else value.tolist()


@dataclass(frozen=True)
class Space:
    """Blocks one after the other, their points numbered through, and the objectives that are sought among these.

    It pickles as its text; a process that is sent the same space again takes the object that it has.
    """

    blocks: tuple[Block, ...]
    objectives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.size > MAX_POINTS:
            raise UsageError(f"a study of {self.size} points is larger than the {MAX_POINTS} that one may have")

    def __reduce__(self) -> tuple[Callable[[str], Space], tuple[str]]:
        return _received, (self.to_json(),)

    @cached_property
    def size(self) -> int:
        """Return the number of points."""
        return sum(block.size for block in self.blocks)

    @cached_property
    def starts(self) -> Ordinals:
        """Return the ordinal of each block's first point."""
        return np.cumsum([0, *(block.size for block in self.blocks[:-1])], dtype=np.int64)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the parameters that any point has, as `network_depth` and `chip_rows`: those of networks first."""
        return tuple(self._types)

    @cached_property
    def digest(self) -> str:
        """Return a name that only equal spaces share."""
        return blake2b(self.to_json().encode(), digest_size=KEY_BYTES).hexdigest()

    def point(self, ordinal: int) -> Point:
        """Return the point at `ordinal`."""
        return self.points(np.asarray([ordinal], np.int64))[0]

    def points(self, ordinals: Ordinals) -> list[Point]:
        """Return the points at `ordinals`, in their order."""
        return list(map(Point._make, self._rows(self.blocks, ordinals)))

    def keys(self, ordinals: Ordinals) -> list[bytes]:
        """Return what identifies each point: a digest of all that names it, and of the files among that."""
        rows = map("\n".join, self._rows(self._stamped, ordinals))
        return [blake2b(row.encode(), digest_size=KEY_BYTES).digest() for row in rows]

    def split(self, ordinals: Ordinals) -> Iterator[tuple[Block, Ordinals]]:
        """Yield runs of `ordinals` within one block, in their order, numbered inside it.

        Ascending ordinals come in one run for each block.
        """
        which = self._block_of(ordinals)
        edges = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(which)]
        for start, end in pairwise(edges):
            if start < end:
                number = int(which[start])
                yield self.blocks[number], ordinals[start:end] - self.starts[number]

    def digits(self, block: Block, local: Ordinals) -> dict[str, Ordinals]:
        """Return, by axis of `block`, which of its values its points `local` have."""
        return block.digits(local)

    def axis_values(self, ordinals: Ordinals) -> dict[str, list[Any]]:
        """Return `columns` at `ordinals`: numbers where all the column's values are, None where a point has none."""
        found = {name: np.full(len(ordinals), None, object) for name in self.columns}
        for block, places, local in self._located(self.blocks, ordinals):
            digits = block.digits(local)
            for prefix in (NETWORK, CHIP):
                for name, value in block.parameters(prefix, digits):
                    kind = self._types[name]
                    found[name][places] = kind(value) if isinstance(value, str) else [kind(one) for one in value]
        return {name: column.tolist() for name, column in found.items()}

    def to_json(self) -> str:
        """Return the space as text: equal spaces have the same."""
        return self._json

    @classmethod
    def from_json(cls, text: str) -> Space:
        """Return the space of `to_json`; raises `InputError` for another text."""
        from .space_json import read

        return read(text)

    @cached_property
    def _json(self) -> str:
        from .space_json import write

        return write(self)

    @cached_property
    def _types(self) -> dict[str, type]:
        """Return what the values of each column are."""
        values: dict[str, list[Sequence[str]]] = {}
        for prefix in (NETWORK, CHIP):
            for block in self.blocks:
                for key, value in block.fixed(prefix):
                    values.setdefault(f"{prefix}{key}", []).append((value,))
                for axis in block.axes_of(prefix):
                    values.setdefault(axis.name, []).append(axis.values)
        return {name: cell_type(chain.from_iterable(dict.fromkeys(texts))) for name, texts in values.items()}

    @cached_property
    def _stamped(self) -> tuple[Block, ...]:
        """Return the blocks with all of their values as text, and a digest of its content behind each file's name."""
        return tuple(
            block._replace(
                network=f"{SCHEMA}\n{stamped(block.network)}",
                chip=stamped(block.chip),
                fixed_network=tuple((key, stamped(value)) for key, value in block.fixed_network),
                fixed_chip=tuple((key, stamped(value)) for key, value in block.fixed_chip),
                axes=tuple(Axis(axis.name, tuple(map(stamped, axis.values))) for axis in block.axes),
            )
            for block in self.blocks
        )

    def _rows(self, blocks: Sequence[Block], ordinals: Ordinals) -> Iterator[tuple[Any, ...]]:
        """Return the columns of `Point` at each of `ordinals`."""
        found = np.empty((len(Point._fields), len(ordinals)), object)
        for block, places, local in self._located(blocks, ordinals):
            for row, column in zip(found, block.columns(local), strict=True):
                row[places] = column
        return zip(*found.tolist(), strict=True)

    def _located(self, blocks: Sequence[Block], ordinals: Ordinals) -> Iterator[tuple[Block, Any, Ordinals]]:
        """Yield each of `blocks` that occurs, with the places of its points among `ordinals`, numbered inside it."""
        which = self._block_of(ordinals)
        for number in np.unique(which).tolist():
            places = np.flatnonzero(which == number)
            yield blocks[number], places, ordinals[places] - self.starts[number]

    def _block_of(self, ordinals: Ordinals) -> Ordinals:
        """Return the number of each ordinal's block; raises `IndexError` for one that is not there."""
        if len(ordinals) and not 0 <= ordinals.min() <= ordinals.max() < self.size:
            raise IndexError(f"a space of {self.size} points has none at {ordinals.min()} or {ordinals.max()}")
        return np.searchsorted(self.starts, ordinals, side="right") - 1


@lru_cache(maxsize=4)
def _received(text: str) -> Space:
    return Space.from_json(text)

"""Which keys a study has: sorted in one array, and those that came since in a set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .identity import KEY_BYTES

KIND = f"S{KEY_BYTES}"
"""Of an array of keys. numpy drops zeros at the end of such texts; all are equally long, so they compare the same."""

RECENT = 1 << 17
"""Keys in the set at most: a set takes 100 bytes for each, the array 16."""


class Keys:
    """A growing set of keys."""

    def __init__(self) -> None:
        self._sorted: NDArray[np.bytes_] = np.empty(0, KIND)
        self._recent: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def add(self, keys: Iterable[bytes]) -> None:
        """Take up keys that are not there yet."""
        self._recent.update(keys)
        if len(self._recent) > RECENT:
            self._fold()

    def among(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which of `keys` are there."""
        if len(keys) > RECENT:
            self._fold()
        found = self._in_array(_array(keys))
        if not self._recent.isdisjoint(keys):
            found |= np.fromiter((key in self._recent for key in keys), np.bool_, len(keys))
        return found

    def _in_array(self, wanted: NDArray[np.bytes_]) -> NDArray[np.bool_]:
        if not len(self._sorted):
            return np.zeros(len(wanted), np.bool_)
        order = np.argsort(wanted)  # neighbours are looked for in places that are still in the cache
        places = np.minimum(np.searchsorted(self._sorted, wanted[order]), len(self._sorted) - 1)
        found = np.empty(len(wanted), np.bool_)
        found[order] = self._sorted[places] == wanted[order]
        return found

    def _fold(self) -> None:
        self._sorted = np.sort(np.concatenate([self._sorted, _array(sorted(self._recent))]), kind="stable")
        self._recent = set()


def _array(keys: Sequence[bytes]) -> NDArray[np.bytes_]:
    return np.frombuffer(b"".join(keys), KIND)

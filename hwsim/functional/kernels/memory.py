"""Arrays that begin on a cache line."""

from __future__ import annotations

from typing import Any

import numpy as np

LINE_BYTES = 64


def aligned(size: int, dtype: Any) -> Any:
    """Return an uninitialised array of `size` elements that begins on a cache line."""
    size_bytes = size * np.dtype(dtype).itemsize
    raw = np.empty(size_bytes + LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % LINE_BYTES
    return raw[start : start + size_bytes].view(dtype)

"""Kernels over windows of images (N, rows, columns, channels), fp32 and int8: padding, pooling, depthwise, direct.

int8 is unsigned with 128 as its zero; integer results are 32 bits wide, for `int8.requantise`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

FEW_CHANNELS = 8
"""Channels side by side, below which NumPy copies an image faster channel by channel."""


def pad(x: Any, top: int, left: int, value: Any, y: Any) -> None:
    """Set y to x with `value` around it: `top` rows above, `left` columns before, and what y is larger by behind.

    Where y has more channels than x the others are `value` too.
    """
    y[:, :top], y[:, top + x.shape[1] :] = value, value
    y[:, :, :left], y[:, :, left + x.shape[2] :] = value, value
    y[..., x.shape[3] :] = value
    place(x, top, left, y)


def place(x: Any, top: int, left: int, y: Any) -> None:
    """Set what is `top` rows and `left` columns into y to x as far as it fits; the rest of y is kept."""
    rows, cols, channels = max(0, y.shape[1] - top), max(0, y.shape[2] - left), x.shape[3]
    x, inside = x[:, :rows, :cols], y[:, top : top + x.shape[1], left : left + x.shape[2]]
    if channels < min(FEW_CHANNELS, y.shape[3]) and x.strides[3] == x.itemsize:
        for channel in range(channels):
            inside[..., channel] = x[..., channel]
    else:
        inside[..., :channels] = x


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def max_pool(x: Any, taps: Any, stride: Any, dilation: Any, before: Any, y: Any) -> None:
    """Set y to the largest element of each window; beyond the image there is none."""
    for row in prange(y.shape[0] * y.shape[1]):
        n, p = row // y.shape[1], row % y.shape[1]
        for q in range(y.shape[2]):
            empty = True
            for r in range(taps[0]):
                h = p * stride[0] + r * dilation[0] - before[0]
                for s in range(taps[1]):
                    w = q * stride[1] + s * dilation[1] - before[1]
                    if h < 0 or h >= x.shape[1] or w < 0 or w >= x.shape[2]:
                        continue
                    if empty:
                        for c in range(x.shape[3]):
                            y[n, p, q, c] = x[n, h, w, c]
                    else:
                        for c in range(x.shape[3]):
                            y[n, p, q, c] = max(y[n, p, q, c], x[n, h, w, c])
                    empty = False


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def average_pool(x: Any, taps: Any, stride: Any, dilation: Any, before: Any, y: Any) -> None:
    """Set y, fp32, to the mean over those elements of each window that lie within the image."""
    for row in prange(y.shape[0] * y.shape[1]):
        n, p = row // y.shape[1], row % y.shape[1]
        for q in range(y.shape[2]):
            count = np.float32(0)
            for c in range(x.shape[3]):
                y[n, p, q, c] = 0
            for r in range(taps[0]):
                h = p * stride[0] + r * dilation[0] - before[0]
                for s in range(taps[1]):
                    w = q * stride[1] + s * dilation[1] - before[1]
                    if h < 0 or h >= x.shape[1] or w < 0 or w >= x.shape[2]:
                        continue
                    count += np.float32(1)
                    for c in range(x.shape[3]):
                        y[n, p, q, c] += x[n, h, w, c]
            for c in range(x.shape[3]):
                y[n, p, q, c] /= count


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def depthwise(x: Any, w: Any, bias: Any, stride: Any, dilation: Any, y: Any) -> None:
    """Set y to the convolution of every channel of the padded image x with its filter in w (R, S, channels)."""
    taps_s, channels = w.shape[1], x.shape[3]
    taps = w.shape[0] * taps_s
    for row in prange(y.shape[0] * y.shape[1]):
        n, p = row // y.shape[1], row % y.shape[1]
        for q in range(y.shape[2]):
            out = y[n, p, q]
            for c in range(channels):
                out[c] = bias[c]
            for tap in range(0, taps - 2, 3):
                a, b, d = tap, tap + 1, tap + 2
                xa = x[n, p * stride[0] + a // taps_s * dilation[0], q * stride[1] + a % taps_s * dilation[1]]
                xb = x[n, p * stride[0] + b // taps_s * dilation[0], q * stride[1] + b % taps_s * dilation[1]]
                xd = x[n, p * stride[0] + d // taps_s * dilation[0], q * stride[1] + d % taps_s * dilation[1]]
                wa, wb, wd = w[a // taps_s, a % taps_s], w[b // taps_s, b % taps_s], w[d // taps_s, d % taps_s]
                for c in range(channels):
                    out[c] += xa[c] * wa[c] + xb[c] * wb[c] + xd[c] * wd[c]
            for tap in range(taps // 3 * 3, taps):
                r, s = tap // taps_s, tap % taps_s
                one, weights = x[n, p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]], w[r, s]
                for c in range(channels):
                    out[c] += one[c] * weights[c]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def depthwise_int8(x: Any, w: Any, bias: Any, stride: Any, dilation: Any, y: Any) -> None:
    """Set y, int32, to the convolution of every channel of the padded uint8 image with its int8 filter."""
    for row in prange(y.shape[0] * y.shape[1]):
        n, p = row // y.shape[1], row % y.shape[1]
        for q in range(y.shape[2]):
            out = y[n, p, q]
            for c in range(x.shape[3]):
                out[c] = bias[c]
            for r in range(w.shape[0]):
                for s in range(w.shape[1]):
                    one, weights = x[n, p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]], w[r, s]
                    for c in range(x.shape[3]):
                        out[c] += np.int32(one[c]) * np.int32(weights[c])


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def direct_int8(x: Any, w: Any, bias: Any, stride: Any, dilation: Any, y: Any) -> None:
    """Set y, int32, to the convolution in groups of the padded uint8 image with int8 w (G, R, S, C, K).

    For groups whose channels are no multiple of 4.
    """
    groups, taps_r, taps_s, inputs, outputs = w.shape
    for row in prange(y.shape[0] * y.shape[1]):
        n, p = row // y.shape[1], row % y.shape[1]
        for q in range(y.shape[2]):
            for g in range(groups):
                out = y[n, p, q, g * outputs : (g + 1) * outputs]
                for k in range(outputs):
                    out[k] = bias[g * outputs + k]
                for r in range(taps_r):
                    for s in range(taps_s):
                        one = x[n, p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]]
                        for c in range(inputs):
                            value = np.int32(one[g * inputs + c])
                            for k in range(outputs):
                                out[k] += value * np.int32(w[g, r, s, c, k])

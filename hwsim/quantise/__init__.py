"""From real numbers to those of a format and back.

| module   | what                                                                             |
|----------|----------------------------------------------------------------------------------|
| `codes`  | numbers to codes and back: rounding, overflow, NaN, infinity and -0 per format   |
| `floats` | the same for floating point formats that no library has, tf32 among them         |
| `scale`  | scales and zero points, of a tensor or of each of its channels                   |

Real numbers are float32: what comes in another type is rounded to that first.
"""

from hwsim.quantise.codes import decode, encode, rounded
from hwsim.quantise.scale import (
    Quantisation,
    asymmetric,
    binary_weights,
    dequantise,
    fitted,
    fixed,
    quantise,
    ranges,
    requantised,
    saturation,
    symmetric,
    ternary_weights,
    unscaled,
)

__all__ = [
    "Quantisation",
    "asymmetric",
    "binary_weights",
    "decode",
    "dequantise",
    "encode",
    "fitted",
    "fixed",
    "quantise",
    "ranges",
    "requantised",
    "rounded",
    "saturation",
    "symmetric",
    "ternary_weights",
    "unscaled",
]

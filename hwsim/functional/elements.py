"""Functions of single elements and of elements of several operands, by the names that layers have."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, sqrt
from typing import Any

import numpy as np

Function = Callable[..., Any]

SELU_ALPHA, SELU_SCALE = np.float32(1.6732632423543772), np.float32(1.0507009873554805)
"""Klambauer et al., "Self-normalizing neural networks", NIPS 2017, Eq. 14."""

_erf = np.frompyfunc(erf, 1, 1)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1))


def softplus(x: Any) -> Any:
    """Return log(1 + exp(x)), without overflow."""
    return np.logaddexp(np.float32(0), x)


def error_function(x: Any) -> Any:
    """Return erf(x)."""
    return _erf(x).astype(np.float32)


def gelu(x: Any) -> Any:
    """Return x times the normal distribution function at x, not its approximation."""
    return np.float32(0.5) * x * (np.float32(1) + error_function(x * np.float32(1 / sqrt(2))))


def swish(x: Any) -> Any:
    """Return x sigmoid(x), also called SiLU."""
    return x * sigmoid(x)


def hard_swish(x: Any) -> Any:
    """Return x relu6(x + 3) / 6."""
    return x * np.clip(x + 3, 0, 6) / np.float32(6)


def hard_sigmoid(x: Any) -> Any:
    """Return relu6(x + 3) / 6, as MobileNetV3 has it."""
    return np.clip(x + 3, 0, 6) / np.float32(6)


def selu(x: Any) -> Any:
    """Return SELU with the constants of its publication."""
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "gelu": gelu,
    "silu": swish,
    "swish": swish,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_swish": hard_swish,
    "hard_sigmoid": hard_sigmoid,
    "selu": selu,
}
"""Functions without attributes; those with some ("clip", "leaky_relu", "elu") are nothing without them."""

UNARY: dict[str, Function] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "erf": error_function,
    "exp": np.exp,
    "floor": np.floor,
    "log": np.log,
    "neg": np.negative,
    "not": np.logical_not,
    "reciprocal": np.reciprocal,
    "round": np.round,
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "tan": np.tan,
}

BINARY: dict[str, Function] = {
    "add": np.add,
    "and": np.logical_and,
    "divide": np.divide,
    "equal": np.equal,
    "greater": np.greater,
    "greaterorequal": np.greater_equal,
    "less": np.less,
    "lessorequal": np.less_equal,
    "max": np.maximum,
    "mean": np.add,
    "min": np.minimum,
    "multiply": np.multiply,
    "or": np.logical_or,
    "pow": np.power,
    "subtract": np.subtract,
    "sum": np.add,
    "xor": np.logical_xor,
}

COMMUTATIVE = frozenset({"add", "and", "equal", "max", "mean", "min", "multiply", "or", "sum", "xor"})
"""Operators whose operands stand in any order, and of which all but "equal" may be several."""

TERNARY: dict[str, Function] = {"where": lambda condition, x, y: np.where(condition != 0, x, y)}

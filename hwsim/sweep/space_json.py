"""A space as text, as a study keeps it, and back: what is read may be somebody else's, so it is checked."""

from __future__ import annotations

import json
from typing import Any

from hwsim.errors import HwsimError, InputError

from .identity import SCHEMA
from .space import CHIP, MAX_VALUES, NETWORK, SETTINGS, Axis, Block, Space


def write(space: Space) -> str:
    """Return `space` as a JSON object."""
    whole = {"schema": SCHEMA, "objectives": space.objectives, "blocks": [one._asdict() for one in space.blocks]}
    return json.dumps(whole, separators=(",", ":"))


def read(text: str) -> Space:
    """Return the space of a text that `write` gave; raises `InputError` for another."""
    try:
        whole = json.loads(text)
        if whole["schema"] != SCHEMA:
            raise InputError(f"the space of this study has schema {whole['schema']}, not {SCHEMA}")
        return Space(tuple(map(_block, whole["blocks"])), _texts(whole["objectives"]))
    except HwsimError:
        raise
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(f"the space of this study is malformed: {type(error).__name__}: {error}") from None


def _block(given: dict[str, Any]) -> Block:
    axes = tuple(_axis(*one) for one in given["axes"])
    names = [axis.name for axis in axes]
    parameters = names[: -len(SETTINGS)]
    if (*names[-len(SETTINGS) :],) != SETTINGS or not all(one.startswith((NETWORK, CHIP)) for one in parameters):
        raise ValueError(f"axes {names}")
    network, chip = (tuple(map(_pair, given[name])) for name in ("fixed_network", "fixed_chip"))
    return Block(_text(given["network"]), _text(given["chip"]), network, chip, axes)


def _axis(name: object, values: list[Any]) -> Axis:
    if not 0 < len(values) <= MAX_VALUES:
        raise ValueError(f"{len(values)} values of {name}")
    density = name in SETTINGS[2:]
    return Axis(_text(name), tuple(_density(one) for one in values) if density else _texts(values))


def _density(value: object) -> float | None:
    if value is None or (isinstance(value, float) and 0 < value <= 1):
        return value
    raise ValueError(f"density {value}")


def _pair(given: object) -> tuple[str, str]:
    key, value = _texts(given)
    return key, value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values} is no list")
    return tuple(map(_text, values))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value} is no text")
    return value

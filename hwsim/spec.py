"""`NAME:key=value,...`: taken apart, and its values converted to what a function takes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from hwsim.errors import UsageError, near_match

if TYPE_CHECKING:
    from inspect import Parameter

MAX_WHOLE = 2**63 - 1
"""Largest whole number of a parameter: cycles and counts are 64 bits wide."""


FIRST = ""
"""The key of a value that stands alone, behind the name: that of the first parameter, if it is a text."""


class Spec(NamedTuple):
    """A name, or the path of a file, and the parameters to call it with."""

    name: str
    parameters: dict[str, str]


def parse(text: str) -> Spec:
    """Take `NAME:key=value,...` apart; a path may contain colons of its own.

    The first value may stand without its key, which is then "": `gpu:v100`.
    """
    match = re.fullmatch(r"(?P<name>.+?)(?::(?P<parameters>[^:/\\]*=.*|[^:/\\.]*))?", text, re.DOTALL)
    if match is None or match["name"].startswith(":"):
        raise UsageError(f"'{text}' names nothing; write NAME or NAME:key=value,...")
    if ":" in text and os.path.exists(text):
        return Spec(text, {})
    parameters: dict[str, str] = {}
    for index, item in enumerate(filter(None, (match["parameters"] or "").split(","))):
        key, equals, value = item.partition("=")
        if not equals and not index:
            key, value = FIRST, item
        elif not equals:
            raise _not_a_pair(item, match["name"])
        if key.strip() in parameters:
            raise UsageError(f"parameter '{key.strip()}' of '{match['name']}' is given twice")
        parameters[key.strip()] = value.strip()
    return Spec(match["name"], parameters)


def _not_a_pair(item: str, name: str) -> UsageError:
    return UsageError(f"parameter '{item}' of '{name}' is not of the form key=value")


def split(text: str) -> list[str]:
    """Split a list of specs at the commas that do not separate parameters."""
    parts: list[str] = []
    for item in text.split(","):
        if parts and "=" in item and ":" not in item.partition("=")[0]:
            parts[-1] += f",{item}"
        else:
            parts.append(item)
    return parts


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the parameters that `function` takes by name; one without a type has that of its default."""
    from inspect import signature, unwrap

    parameters = signature(function).parameters
    stated = {key: one.annotation for key, one in parameters.items() if one.annotation is not one.empty}
    try:
        types = get_type_hints(SimpleNamespace(__annotations__=stated), getattr(unwrap(function), "__globals__", {}))
    except Exception:  # a type that is imported for type checkers alone says nothing here
        types = {}
    return {
        key: one.replace(annotation=types.get(key, type(one.default)))
        for key, one in parameters.items()
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }


def values_of(
    what: str, given: Mapping[str, str], allowed: Mapping[str, Parameter], extra: Mapping[str, object]
) -> dict[str, object]:
    """Return the arguments for a function that takes `allowed`: those of `extra`, and `given` converted.

    Raises `UsageError`, naming `what`, for a parameter that it does not take, needs, or cannot read.
    """
    for key in extra:
        if key not in allowed:
            raise UsageError(f"{what} takes no --{key}")
    values = dict(extra)
    for key, value in _keyed(what, given, allowed).items():
        if key not in allowed:
            raise UsageError(f"{what} has no parameter '{key}'{near_match(key, allowed)}")
        values[key] = convert(f"{what}: {key}", value, allowed[key].annotation)
    for key, one in allowed.items():
        if key not in values and one.default is one.empty:
            raise UsageError(f"{what} needs its parameter '{key}'")
    return values


def _keyed(what: str, given: Mapping[str, str], allowed: Mapping[str, Parameter]) -> dict[str, str]:
    """Return `given` with the key of a value that stands alone."""
    if FIRST not in given:
        return dict(given)
    first = next(iter(allowed), FIRST)
    if first == FIRST or allowed[first].annotation is not str:
        raise UsageError(f"parameter '{given[FIRST]}' of {what} is not of the form key=value")
    if first in given:
        raise UsageError(f"parameter '{first}' of {what} is given twice")
    return {first if key == FIRST else key: value for key, value in given.items()}


def convert(what: str, value: str, kind: object) -> object:
    """Return `value` as `kind`: bool, int, float, one of these or None, or else text."""
    if get_origin(kind) in (Union, UnionType):
        kind = next((one for one in (bool, float, int) if one in get_args(kind)), str)
    if kind is bool:
        return _truth(what, value)
    if kind not in (int, float):
        return value
    try:
        number = int(value) if kind is int else float(value)
    except ValueError:
        raise UsageError(f"{what}={value} is not {'a whole number' if kind is int else 'a number'}") from None
    if number != number:
        raise UsageError(f"{what}={value} is not a number")
    if kind is int and abs(number) > MAX_WHOLE:
        raise UsageError(f"{what}={value} is not a whole number of 64 bits")
    return number


def _truth(what: str, value: str) -> bool:
    if value.lower() in {"true", "yes", "on", "1"}:
        return True
    if value.lower() in {"false", "no", "off", "0"}:
        return False
    raise UsageError(f"{what}={value} is neither true nor false")

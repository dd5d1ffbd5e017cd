"""Options as text, taken apart to the axes of a space.

    eyeriss:rows={8,12,16},glb_kib=64:256:64,systolic:rows={16,32}

are two chips: braces hold a list, `start:stop:step` a range that has its stop where it lies on the grid, and
`start:stop:*factor` one that is multiplied. Names and parameters are held against the catalogue here, values are not:
a chip that refuses one does so at its points.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, localcontext
from itertools import product
from math import log
from pathlib import Path
from typing import NamedTuple

from hwsim import catalog
from hwsim.errors import UsageError, near_match, unknown_name
from hwsim.precision import asked_formats
from hwsim.spec import FIRST, parameters_of, parse

from .identity import is_number
from .space import CHIP, MAX_VALUES, NETWORK, SETTINGS, Axis, Block, Space

BATCH, ALL = "batch", "all"

MARK = "\0"
"""Stands for a list in braces while commas are split; no option can hold one."""

LIST = re.compile(r"\{[^{}]*\}")
NUMBER = r"[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,2})?"
RANGE = re.compile(rf"(?P<start>{NUMBER}):(?P<stop>{NUMBER}):(?P<times>\*)?(?P<step>{NUMBER})", re.ASCII)
EXACT_DIGITS, FACTOR_DIGITS = 300, 15
"""Digits of a range's arithmetic: all that `NUMBER` can have, and those that powers of a factor are rounded to."""


class Family(NamedTuple):
    """A network or chip with the values of the parameters that it is called with."""

    name: str
    parameters: Mapping[str, tuple[str, ...]]


def space(
    networks: str,
    on: str,
    *,
    dataflow: str = "",
    format: str = "",  # noqa: A002 - the option's name everywhere else
    density: str = "",
    input_density: str = "",
    batch: str = "",
    objectives: tuple[str, ...] = (),
) -> Space:
    """Return the space of every network on every chip with all of the values; "" leaves an axis as it is.

    Raises `UsageError` for what the catalogue does not have, and for lists and ranges that cannot be read.
    """
    settings = (
        named("dataflow", dataflow, _check_dataflow),
        named("format", format, _check_format),
        densities("--density", density),
        densities("--input-density", input_density),
    )
    axes = tuple(map(Axis, SETTINGS, settings))
    found = [with_batch(one, batch) for one in families("network", networks)]
    pairs = product(found, families("chip", on))
    return Space(tuple(_block(network, chip, axes) for network, chip in pairs), objectives)


def _block(network: Family, chip: Family, settings: tuple[Axis, ...]) -> Block:
    swept: list[Axis] = []
    fixed: list[tuple[tuple[str, str], ...]] = []
    for prefix, family in ((NETWORK, network), (CHIP, chip)):
        swept += [Axis(f"{prefix}{key}", values) for key, values in family.parameters.items() if len(values) > 1]
        fixed.append(tuple((key, values[0]) for key, values in family.parameters.items() if len(values) == 1))
    return Block(network.name, chip.name, fixed[0], fixed[1], (*swept, *settings))


def families(noun: str, text: str) -> list[Family]:
    """Return the networks or chips of a list of specs, each once; "all" is every name there is."""
    masked, lists = _masked(text)
    specs = [one.strip() for one in catalog.split(masked, noun)]
    each = [name for one in specs for name in (catalog.names(noun) if one == ALL else [one])]
    found = []
    for one in dict.fromkeys(each):
        try:
            name, parameters = parse(one)
        except UsageError as error:
            raise UsageError(_unmasked(str(error), lists)) from None
        if MARK in name or any(MARK in key for key in parameters):
            raise UsageError(f"'{_unmasked(one, lists)}' has a list in braces where no value of a parameter stands")
        texts = {key: _unmasked(value, lists) for key, value in parameters.items()}
        found.append(Family(name, _keyed(noun, name, texts)))
    return found


def with_batch(network: Family, text: str) -> Family:
    """Return `network` with the values of --batch; raises `UsageError` where it has that parameter already, or none."""
    if not text:
        return network
    _require("network", network.name, BATCH, _known("network", network.name))
    if BATCH in network.parameters:
        raise UsageError(f"parameter '{BATCH}' of network '{network.name}' is given twice: there, and as --batch")
    return Family(network.name, {**network.parameters, BATCH: values("--batch", f"{{{text.strip('{}')}}}")})


def named(noun: str, text: str, check: Callable[[str], None]) -> tuple[str, ...]:
    """Return the names of a list of dataflows or formats, each once and in the catalogue; ("",) without any."""
    if not text:
        return ("",)
    listed = catalog.split(re.sub(r"\s*,\s*", ",", text.strip().removeprefix("{").removesuffix("}")), noun)
    for one in listed:
        check(one)
    return tuple(dict.fromkeys(listed))


def _check_dataflow(name: str) -> None:
    if catalog.is_path(name):
        catalog.dataflow(name)
    elif name not in catalog.names("dataflow"):
        raise unknown_name("dataflow", name, catalog.names("dataflow"))


def _check_format(text: str) -> None:
    for name in asked_formats(text).values() or [text]:
        catalog.number_format(name)


def densities(option: str, text: str) -> tuple[float | None, ...]:
    """Return the shares of values that are not zero, in (0, 1]; (None,) without any."""
    if not text:
        return (None,)
    found = values(option, f"{{{text.strip('{}')}}}")
    for one in found:
        if not is_number(one) or not 0 < float(one) <= 1:
            raise UsageError(f"{option} {one} is not the share of values that are not zero: above 0, at most 1")
    return tuple(dict.fromkeys(map(float, found)))


def values(what: str, text: str) -> tuple[str, ...]:
    """Return the values of one parameter, each once: of a list in braces, of a range, or the one it is.

    Raises `UsageError`, naming `what`, for an empty place in a list, a range that is none, and too many values.
    """
    listed = text.startswith("{")
    found: dict[str, None] = {}
    for item in text[1:-1].split(",") if listed else [text]:
        one = item.strip()
        if listed and not one:
            raise UsageError(f"{what}={text} has an empty place; a list is written {{8,12,16}}")
        found |= dict.fromkeys(_range(what, one) if ":" in one and not {"/", "\\"} & set(one) else [one])
        if len(found) > MAX_VALUES:
            raise _too_many(what, text)
    return tuple(found)


def _too_many(what: str, text: str) -> UsageError:
    return UsageError(f"{what}={text} has more than the {MAX_VALUES} values that an axis may have")


def _range(what: str, text: str) -> Iterable[str]:
    """Return the values of `start:stop:step` or `start:stop:*factor`, as decimal numbers are written."""
    match = RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{what}={text} is no range of numbers; write start:stop:step or start:stop:*factor")
    with localcontext(prec=EXACT_DIGITS):
        start, stop, step = (Decimal(match[name]) for name in ("start", "stop", "step"))
        return _multiplied(what, text, start, stop, step) if match["times"] else _added(what, text, start, stop, step)


def _added(what: str, text: str, start: Decimal, stop: Decimal, step: Decimal) -> list[str]:
    if not step or (stop - start) * step < 0:
        way = "is 0" if not step else "leads away from its stop"
        raise UsageError(f"the step of {what}={text} {way}; write start:stop:step")
    count = int((stop - start) / step) + 1
    if count > MAX_VALUES:
        raise _too_many(what, text)
    exponent = min(0, *(int(one.as_tuple().exponent) for one in (start, step)))
    first, by = (int(one.scaleb(-exponent)) for one in (start, step))
    numbers = range(first, first + count * by, by)
    return [_spelled(Decimal(one).scaleb(exponent)) for one in numbers] if exponent else list(map(str, numbers))


def _multiplied(what: str, text: str, start: Decimal, stop: Decimal, factor: Decimal) -> list[str]:
    if min(start, stop, factor) <= 0 or factor == 1 or (stop - start) * (factor - 1) < 0:
        raise UsageError(f"the factor of {what}={text} must lead from its start to its stop, all of them above 0")
    if log(stop / start) / log(factor) > MAX_VALUES:
        raise _too_many(what, text)
    found, upwards = [start], factor > 1
    with localcontext(prec=FACTOR_DIGITS):
        while (found[-1] * factor <= stop) if upwards else (found[-1] * factor >= stop):
            found.append(found[-1] * factor)
    return [_spelled(one) for one in found]


def _spelled(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _masked(text: str) -> tuple[str, list[str]]:
    """Return `text` with every list in braces replaced by its number between marks, and the lists."""
    lists: list[str] = []

    def mark(match: re.Match[str]) -> str:
        lists.append(match[0])
        return f"{MARK}{len(lists) - 1}{MARK}"

    masked = LIST.sub(mark, text.replace(MARK, "{"))
    if "{" in masked or "}" in masked:
        raise UsageError(f"the braces of '{text}' do not pair; a list is written rows={{8,12,16}}, without one inside")
    return masked, lists


def _unmasked(text: str, lists: list[str]) -> str:
    return re.sub(rf"{MARK}(\d+){MARK}", lambda match: lists[int(match[1])], text)


def _keyed(noun: str, name: str, given: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each parameter `given`; raises `UsageError` for one that `name` does not take, or needs."""
    known = _known(noun, name)
    found: dict[str, tuple[str, ...]] = {}
    for key, text in given.items():
        named_key = _first(noun, name, text, known) if key == FIRST else key
        _require(noun, name, named_key, known)
        if named_key in found:
            raise UsageError(f"parameter '{named_key}' of {noun} '{name}' is given twice")
        if "{" in text and not LIST.fullmatch(text):
            raise UsageError(f"{noun} '{name}': a list in braces is the whole of a value, not a part of '{text}'")
        found[named_key] = values(f"{noun} '{name}': {named_key}", text)
    for key, default in known.items():
        if default is None and key not in found:
            raise UsageError(f"{noun} '{name}' needs its parameter '{key}'")
    return found


def _known(noun: str, name: str) -> dict[str, str | None]:
    """Return the parameters that a network or chip takes with their defaults, None without one."""
    suffix = Path(name).suffix.lower()
    if noun == "network" and suffix in catalog.IMPORTERS:
        if not os.path.isfile(name):
            raise UsageError(f"no network file '{name}'")
        module, function = catalog.IMPORTERS[suffix]
        allowed = parameters_of(getattr(importlib.import_module(module), function))
        found = [f"{key}={one.default}" for key, one in list(allowed.items())[1:]]  # its first is the path
    else:
        found = catalog.parameters(noun, name)
    pairs = (text.partition("=") for text in found)
    known = {key: default if equals else None for key, equals, default in pairs}
    return {**known, **({catalog.TRAINING: "False"} if noun == "network" else {})}


def _first(noun: str, name: str, text: str, known: Mapping[str, str | None]) -> str:
    """Return the key of a value that stands alone: that of the first parameter, if it is a text."""
    key, default = next(iter(known.items()), (FIRST, None))
    if key == FIRST or default in ("True", "False") or is_number(default or ""):
        raise UsageError(f"parameter '{text}' of {noun} '{name}' is not of the form key=value")
    return key


def _require(noun: str, name: str, key: str, known: Iterable[str]) -> None:
    if key not in known:
        raise UsageError(f"{noun} '{name}' has no parameter '{key}'{near_match(key, known)}")

"""What `hwsim sweep` is asked for: its options, and a TOML file of the same words.

    [sweep]
    networks = ["alexnet", "resnet:depth={18,50}"]
    format = ["fp16", "int8"]
    density = [1.0, 0.5, 0.1]

    [[chip]]
    name = "eyeriss"
    rows = [8, 12, 16]
    glb_kib = "64:256:64"

An option of the command line stands in place of the file's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hwsim.errors import InputError, UsageError, near_match, unknown_name
from hwsim.ir.untrusted import read_bounded

from . import axes
from .objectives import objectives
from .space import Space

MAX_BYTES = 4 * 2**20
"""Largest study file that is read."""

SEARCHES = ("grid", "random", "guided")

TABLES = {"network": "networks", "chip": "on"}
"""Nouns that may be tables of their own, [[chip]], with the option that they add to."""


class Options(NamedTuple):
    """Texts as on the command line; "" leaves an axis as it is. `samples` and `jobs` of None are the search's own."""

    networks: str = ""
    on: str = "systolic"
    dataflow: str = ""
    format: str = ""
    density: str = ""
    input_density: str = ""
    batch: str = ""
    objective: str = "latency,energy"
    search: str = SEARCHES[0]
    samples: int | None = None
    seed: int = 0
    jobs: int | None = None
    layers: bool = True

    def space(self) -> Space:
        """Return what is swept; raises `UsageError` for what there is not."""
        if not self.networks:
            raise UsageError("a sweep is of networks: name them with --networks NAME,... or in a study file")
        return axes.space(
            self.networks,
            self.on,
            dataflow=self.dataflow,
            format=self.format,
            density=self.density,
            input_density=self.input_density,
            batch=self.batch,
            objectives=objectives(self.objective),
        )


LISTS = ("networks", "on", "dataflow", "format", "density", "input_density", "batch", "objective")
LEAST = {"samples": 1, "seed": 0, "jobs": 1}
"""Options that are lists, and those that are whole numbers from here on."""


def options(study: Path | None = None, given: Mapping[str, Any] | None = None) -> Options:
    """Return the options of a study file, with those `given` in place of the file's; None is not given.

    Raises `UsageError` for words and values that there are not, `InputError` for a file that is no TOML.
    """
    stated = read(study) if study is not None else {}
    stated |= {name: value for name, value in (given or {}).items() if value is not None}
    found = Options(**stated)
    if found.search not in SEARCHES:
        raise unknown_name("search", found.search, SEARCHES)
    return found


def read(path: Path) -> dict[str, Any]:
    """Return the options that the study file at `path` states."""
    text = read_bounded(path, "study file", MAX_BYTES)
    try:
        whole = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"study file '{path}' is not TOML: {error}") from None
    _require_known(path, "table", whole, ("sweep", *TABLES))
    stated = _table(path, "sweep", whole.get("sweep", {}))
    _require_known(path, "option", stated, Options._fields)
    found: dict[str, Any] = {name: _option(path, name, value) for name, value in stated.items()}
    for noun, option in TABLES.items():
        specs = [_spec(path, noun, one) for one in _tables(path, noun, whole.get(noun, []))]
        if specs:
            found[option] = ",".join([*([found[option]] if option in found else []), *specs])
    return found


def _require_known(path: Path, what: str, given: Mapping[str, object], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"study file '{path}': no {what} named '{name}'{near_match(name, known)}")


def _table(path: Path, name: str, given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise UsageError(f"study file '{path}': {name} is no table; write [{name}] above its lines")
    return given


def _tables(path: Path, name: str, given: object) -> list[dict[str, object]]:
    tables = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if not isinstance(given, list) or len(tables) < len(given):
        raise UsageError(f"study file '{path}': {name} is no list of tables; write [[{name}]] above each")
    return tables


def _option(path: Path, name: str, value: object) -> object:
    """Return the value of an option as `Options` has it."""
    if name in LISTS:
        return ",".join(_text(path, name, one) for one in (value if isinstance(value, list) else [value]))
    if name in LEAST:
        if type(value) is int and value >= LEAST[name]:
            return value
        raise UsageError(f"study file '{path}': {name} is {value!r}, not a whole number from {LEAST[name]} on")
    if name == "layers" and not isinstance(value, bool):
        raise UsageError(f"study file '{path}': layers is {value!r}, neither true nor false")
    return value if isinstance(value, bool) else _text(path, name, value)


def _text(path: Path, name: str, value: object) -> str:
    """Return a number, truth or text as a spec has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    raise UsageError(f"study file '{path}': {name} is {value!r}, neither a text nor a number, nor a list of these")


def _spec(path: Path, noun: str, table: dict[str, object]) -> str:
    """Return `NAME:key=value,...` of a table of parameters, lists in braces."""
    name = table.get("name")
    if not isinstance(name, str) or not name or {",", ":", "{", "}"} & set(name):
        raise UsageError(f"study file '{path}': a [[{noun}]] needs a name, without its parameters, which stand below")
    pairs = [f"{key}={_value(path, key, value)}" for key, value in table.items() if key != "name"]
    return ":".join([name, *filter(None, [",".join(pairs)])])


def _value(path: Path, key: str, value: object) -> str:
    texts = [_text(path, key, one) for one in (value if isinstance(value, list) else [value])]
    for text in (key, *texts):
        if {",", "{", "}", "="} & set(text):
            raise UsageError(f"study file '{path}': '{text}' of {key} has a sign of lists; write it as [8, 12]")
    return f"{{{','.join(texts)}}}" if isinstance(value, list) else texts[0]

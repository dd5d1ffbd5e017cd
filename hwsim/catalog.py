"""Finds networks, chips, dataflows, formats and reports by name, path or entry point, and calls them with parameters.

A name is that of a file in the noun's folder; the file defines a function or record of the same name. A file of the
user's own is named by its path (`./mychip.py`), an installed one by an entry point of the group `hwsim.networks`,
`hwsim.chips`... `NAME:key=value,...` calls the function with those parameters.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_type_hints

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import HwsimError, InputError, UsageError, near_match, unknown_name
from hwsim.formats import NumberFormat
from hwsim.ir.network import Network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hwsim.engine import Engine
    from hwsim.mapping.dataflow import Dataflow

Report = Callable[["pd.DataFrame"], "Figure"]

FOLDERS = {
    "network": "hwsim.workloads",
    "chip": "hwsim.chips",
    "dataflow": "hwsim.dataflows",
    "format": "hwsim.formats",
    "report": "hwsim.reports",
}
"""The package that holds the files of each noun."""

IMPORTERS = {
    ".onnx": ("hwsim.ir.onnx", "onnx_network"),
    ".csv": ("hwsim.ir.topology", "topology_network"),
}
"""Files that are networks, by suffix: the function that reads one takes its path and parameters."""


class Spec(NamedTuple):
    """`NAME:key=value,...` taken apart."""

    name: str
    parameters: dict[str, str]

    @property
    def is_path(self) -> bool:
        """Whether the name is that of a file."""
        return "/" in self.name or "\\" in self.name or Path(self.name).suffix in {".py", *IMPORTERS}


def names(noun: str) -> list[str]:
    """Return the names of every `noun` there is, those of entry points included."""
    from importlib.metadata import entry_points

    return sorted({*_shipped(noun), *(point.name for point in entry_points(group=f"hwsim.{noun}s"))})


def network(spec: str | Network, **extra: object) -> Network:
    """Return the network that `spec` names, with `extra` parameters if it is a file that takes them."""
    if isinstance(spec, Network):
        return spec
    parsed = parse(spec)
    suffix = Path(parsed.name).suffix.lower()
    if parsed.is_path and suffix in IMPORTERS:
        module, function = IMPORTERS[suffix]
        path = _existing(Path(parsed.name), "network")
        reader = getattr(importlib.import_module(module), function)
        return cast(Network, _call("network", parsed, reader, Network, path, **extra))
    if extra:
        raise UsageError(
            f"network '{parsed.name}' takes no {', '.join(f'--{name}' for name in extra)}; "
            f"that is for files {', '.join(IMPORTERS)}"
        )
    return cast(Network, _call("network", parsed, _find("network", parsed), Network))


def chip(spec: str | Accelerator) -> Accelerator:
    """Return the chip that `spec` names."""
    if isinstance(spec, Accelerator):
        return spec
    parsed = parse(spec)
    found = cast(Accelerator, _call("chip", parsed, _find("chip", parsed), Accelerator))
    changed = ",".join(f"{key}={value}" for key, value in parsed.parameters.items())
    return replace(found, label=f"{found.name}:{changed}" if changed else found.name)


def dataflow(name: str) -> Dataflow:
    """Return the function that maps layers by dataflow `name`."""
    return cast("Dataflow", _find("dataflow", _plain("dataflow", name)))


def number_format(name: str | NumberFormat) -> NumberFormat:
    """Return the number format `name`."""
    return name if isinstance(name, NumberFormat) else cast(NumberFormat, _find("format", _plain("format", name)))


def report(name: str) -> Report:
    """Return the function that draws report `name`."""
    return cast(Report, _find("report", _plain("report", name)))


def engine(name: str) -> Engine:
    """Return the engine a chip names."""
    return cast("Engine", importlib.import_module(f"hwsim.engine.{name}"))


def describe(noun: str, name: str) -> str:
    """Return the first line of what `name` says of itself."""
    module = sys.modules.get(f"{FOLDERS[noun]}.{name}") or importlib.import_module(f"{FOLDERS[noun]}.{name}")
    return (module.__doc__ or "").strip().split("\n")[0].rstrip(".:")


def parameters(noun: str, name: str) -> list[str]:
    """Return what `name` can be called with, as `key=default`; records take nothing."""
    from inspect import signature

    found = _find(noun, Spec(name, {}))
    if noun not in {"network", "chip"}:
        return []
    return [f"{key}={value.default}" for key, value in signature(found).parameters.items()]


def parse(text: str) -> Spec:
    """Take `NAME:key=value,...` apart; a path may contain colons of its own."""
    match = re.fullmatch(r"(?P<name>.+?)(?::(?P<parameters>[^:/\\]*=.*|))?", text, re.DOTALL)
    if match is None or not match["name"]:
        raise UsageError(f"'{text}' names nothing; write NAME or NAME:key=value,...")
    if not match["parameters"] and ":" in match["name"] and not Path(match["name"]).exists():
        name, _, rest = match["name"].partition(":")
        raise UsageError(f"parameter '{rest}' of '{name}' is not of the form key=value")
    parameters: dict[str, str] = {}
    for item in filter(None, (match["parameters"] or "").split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"parameter '{item}' of '{match['name']}' is not of the form key=value")
        if key.strip() in parameters:
            raise UsageError(f"parameter '{key.strip()}' of '{match['name']}' is given twice")
        parameters[key.strip()] = value.strip()
    return Spec(match["name"], parameters)


def split(text: str, noun: str) -> list[str]:
    """Split a list of specs at the commas that do not separate parameters; "all" is every name of `noun`."""
    if text == "all":
        return names(noun)
    parts: list[str] = []
    for item in text.split(","):
        if parts and "=" in item and ":" not in item.partition("=")[0]:
            parts[-1] += f",{item}"
        else:
            parts.append(item)
    return parts


@cache
def _shipped(noun: str) -> tuple[str, ...]:
    package = importlib.import_module(FOLDERS[noun])
    return tuple(sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")))


def _plain(noun: str, name: str) -> Spec:
    spec = parse(name)
    if spec.parameters:
        raise UsageError(f"{noun} '{spec.name}' takes no parameters")
    return spec


def _find(noun: str, spec: Spec) -> Any:
    """Return the function or record a spec names: by path, from the folder, from an entry point."""
    if spec.is_path:
        return _from_file(noun, _existing(Path(spec.name), noun))
    if spec.name in _shipped(noun):
        return getattr(importlib.import_module(f"{FOLDERS[noun]}.{spec.name}"), spec.name)
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=f"hwsim.{noun}s")}
    if spec.name in points:
        return points[spec.name].load()
    raise unknown_name(noun, spec.name, [*_shipped(noun), *points])


def _existing(path: Path, noun: str) -> Path:
    if not path.is_file():
        there = [str(other) for other in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
        raise UsageError(f"no {noun} file '{path}'{near_match(str(path), there) if there else ''}")
    return path


def _from_file(noun: str, path: Path) -> Any:
    name = path.stem.replace("-", "_")
    if path.suffix != ".py":
        raise UsageError(f"{noun} file '{path}' is none of {', '.join(['.py', *IMPORTERS])}")
    found = getattr(_load(path, name), name, None)
    if found is None:
        raise InputError(f"{noun} file '{path}' defines nothing named '{name}'")
    return found


def _load(path: Path, name: str) -> ModuleType:
    """Run a user's own Python file; it is their code, run because they named it."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"hwsim_user_{name}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"'{path}' cannot be loaded as Python")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except HwsimError:
        raise
    except Exception as error:
        raise InputError(f"'{path}' fails when it is loaded: {type(error).__name__}: {error}") from error
    return module


def _call(noun: str, spec: Spec, function: Any, kind: type, *given: object, **extra: object) -> object:
    """Call a catalogue function with a spec's parameters, converted as it annotates them; check what it returns."""
    if not callable(function):
        raise InputError(f"{noun} '{spec.name}' is a {type(function).__name__}, not a function")
    types = {key: hint for key, hint in get_type_hints(function).items() if key != "return"}
    allowed = list(types)[len(given) :]
    values = dict(extra)
    for key, value in spec.parameters.items():
        if key not in allowed:
            raise UsageError(f"{noun} '{spec.name}' has no parameter '{key}'{near_match(key, allowed)}")
        values[key] = _convert(f"{noun} '{spec.name}': {key}", value, types[key])
    try:
        result = function(*given, **values)
    except (HwsimError, KeyboardInterrupt):
        raise
    except Exception as error:
        if not spec.is_path or given:
            raise
        raise InputError(f"{noun} '{spec.name}' fails: {type(error).__name__}: {error}") from error
    if not isinstance(result, kind):
        raise InputError(f"{noun} '{spec.name}' returns a {type(result).__name__}, not a {kind.__name__}")
    return result


def _convert(what: str, value: str, kind: object) -> object:
    """Return `value` as `kind` (int, float, bool, str)."""
    if kind is bool:
        if value.lower() in {"true", "yes", "on", "1"}:
            return True
        if value.lower() in {"false", "no", "off", "0"}:
            return False
        raise UsageError(f"{what}={value} is neither true nor false")
    if kind not in (int, float):
        return value
    try:
        number = int(value) if kind is int else float(value)
    except ValueError:
        raise UsageError(f"{what}={value} is not {'a whole number' if kind is int else 'a number'}") from None
    if number != number:
        raise UsageError(f"{what}={value} is not a number")
    return number

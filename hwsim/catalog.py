"""Finds networks, chips, dataflows, formats and reports by name, path or entry point, and calls them with parameters.

A name is that of a file in the noun's folder; the file defines a function or record of the same name. A file of the
user's own is named by its path (`./mychip.py`), an installed one by an entry point of the group `hwsim.networks`,
`hwsim.chips`... `NAME:key=value,...` calls the function with those parameters.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import HwsimError, InputError, UsageError, did_you_mean, unknown_name
from hwsim.formats import NumberFormat
from hwsim.ir.network import Network
from hwsim.spec import Spec, convert, parameters_of, parse, values_of
from hwsim.spec import split as split_specs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hwsim.engine import Engine
    from hwsim.mapping.dataflow import Dataflow

Report = Callable[..., "Figure"]
"""Draws a frame, some with the table `beside` (`hwsim.results.beside`)."""

FOLDERS = {
    "network": "hwsim.workloads",
    "chip": "hwsim.chips",
    "dataflow": "hwsim.dataflows",
    "format": "hwsim.formats",
    "report": "hwsim.reports",
}
"""The package that holds the files of each noun."""

IMPORTERS = {
    ".onnx": ("hwsim.ir.onnx.importer", "onnx_network"),
    ".csv": ("hwsim.ir.topology", "topology_network"),
    ".net": ("hwsim.compress.deep_compressed", "deep_compressed_network"),
    ".npz": ("hwsim.compress.eie_layer", "eie_layer_network"),
}
"""Files that are networks, by suffix: the function that reads one takes its path and parameters."""

TRAINING, OF_INPUTS = "training", "inputs"
"""The parameter that every network takes, and what it may be beside true and false."""


def names(noun: str) -> list[str]:
    """Return the names of every `noun` there is, those of entry points included."""
    from importlib.metadata import entry_points

    return sorted({*_shipped(noun), *(point.name for point in entry_points(group=f"hwsim.{noun}s"))})


def network(spec: str | Network, **extra: object) -> Network:
    """Return the network that `spec` names, with `extra` parameters if it is a file that takes them.

    Any of them takes `training=true`: one step of training instead of a forward pass; `training=inputs` asks for the
    gradient by the network's own inputs, too, which a layer inside another network passes on.
    """
    if isinstance(spec, Network):
        return spec
    parsed, trained = _forward(parse(spec))
    suffix = Path(parsed.name).suffix.lower()
    if suffix in IMPORTERS:
        module, function = IMPORTERS[suffix]
        path = _existing(Path(parsed.name), "network")
        reader = getattr(importlib.import_module(module), function)
        found = cast(Network, _call("network", parsed, reader, Network, path, **extra))
    else:
        found = cast(Network, _call("network", parsed, _find("network", parsed), Network, **extra))
    called_with = {**parsed.parameters, **extra}
    if not trained:
        return replace(found, spec=spelled(parsed.name, called_with))
    from hwsim.ir.training import training

    said = {**called_with, TRAINING: OF_INPUTS if trained == OF_INPUTS else "true"}
    return replace(training(found, of_inputs=trained == OF_INPUTS), spec=spelled(parsed.name, said))


def _forward(spec: Spec) -> tuple[Spec, str | bool]:
    """Return the spec of the forward pass, and whether `spec` asks for training, or of `OF_INPUTS`."""
    rest = dict(spec.parameters)
    asked = rest.pop(TRAINING, "false")
    trained = asked == OF_INPUTS or bool(convert(f"network '{spec.name}': {TRAINING}", asked, bool))
    return Spec(spec.name, rest), OF_INPUTS if asked == OF_INPUTS else trained


def chip(spec: str | Accelerator) -> Accelerator:
    """Return the chip that `spec` names."""
    if isinstance(spec, Accelerator):
        return spec
    parsed = parse(spec)
    found = cast(Accelerator, _call("chip", parsed, _find("chip", parsed), Accelerator))
    return replace(found, label=spelled(found.name, parsed.parameters))


def dataflow(name: str) -> Dataflow:
    """Return the function that maps layers by dataflow `name`."""
    return cast("Dataflow", _function("dataflow", name))


def is_path(name: str) -> bool:
    """Whether `name` is that of a file of the user's, not of something in the catalogue."""
    return _is_path(parse(name))


def number_format(name: str | NumberFormat) -> NumberFormat:
    """Return the number format `name`."""
    if isinstance(name, NumberFormat):
        return name
    found = _find("format", _plain("format", name))
    if not isinstance(found, NumberFormat):
        raise InputError(f"format '{name}' is of type {type(found).__name__}, not NumberFormat")
    return found


def report(name: str) -> Report:
    """Return the function that draws report `name`."""
    return cast(Report, _function("report", name))


def report_needs(name: str) -> tuple[str, ...]:
    """Return the columns that report `name` cannot do without: `NEEDS` in its file."""
    return tuple(getattr(sys.modules[_function("report", name).__module__], "NEEDS", ()))


def engine(name: str) -> Engine:
    """Return the engine a chip names; raises `InputError` where there is none."""
    if importlib.util.find_spec(f"hwsim.engine.{name}") is None:
        raise InputError(f"no engine named '{name}'; a chip names a module of hwsim.engine, such as 'array'")
    return cast("Engine", importlib.import_module(f"hwsim.engine.{name}"))


def describe(noun: str, name: str) -> str:
    """Return the first line of what `name` says of itself."""
    if name in _shipped(noun):
        said = importlib.import_module(f"{FOLDERS[noun]}.{name}").__doc__
    else:
        found = _find(noun, Spec(name, {}))
        said = found.description if isinstance(found, NumberFormat) else found.__doc__
    return (said or "").strip().split("\n")[0].rstrip(".:")


def parameters(noun: str, name: str) -> list[str]:
    """Return what `name` can be called with, as `key=default`; records take nothing."""
    if noun not in {"network", "chip"}:
        return []
    allowed = parameters_of(_find(noun, Spec(name, {})))
    return [key if one.default is one.empty else f"{key}={one.default}" for key, one in allowed.items()]


def split(text: str, noun: str) -> list[str]:
    """Return the specs of a list of them; "all" is every name of `noun`."""
    return names(noun) if text == "all" else split_specs(text)


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
    if _is_path(spec):
        return _from_file(noun, _existing(Path(spec.name), noun))
    if spec.name in _shipped(noun):
        return getattr(importlib.import_module(f"{FOLDERS[noun]}.{spec.name}"), spec.name)
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=f"hwsim.{noun}s")}
    if spec.name in points:
        try:
            return points[spec.name].load()
        except Exception as error:
            raise InputError(f"{noun} '{spec.name}' of {points[spec.name].value} {_failure(error)}") from error
    raise unknown_name(noun, spec.name, [*_shipped(noun), *points])


def _function(noun: str, name: str) -> Callable[..., Any]:
    found = _find(noun, _plain(noun, name))
    if not callable(found):
        raise InputError(f"{noun} '{name}' is of type {type(found).__name__}, not a function")
    return cast(Callable[..., Any], found)


def spelled(name: str, parameters: Mapping[str, object]) -> str:
    """Return `NAME:key=value,...`."""
    changed = ",".join(f"{key}={value}" if key else f"{value}" for key, value in parameters.items())
    return f"{name}:{changed}" if changed else name


def _is_path(spec: Spec) -> bool:
    return "/" in spec.name or "\\" in spec.name or Path(spec.name).suffix.lower() in {".py", *IMPORTERS}


def _existing(path: Path, noun: str) -> Path:
    # os.path, because pathlib raises for names that are too long
    if os.path.isfile(path):
        return path
    if os.path.exists(path):
        raise UsageError(f"{noun} '{path}' is not a file")
    beside = path.parent.glob(f"*{path.suffix}") if os.path.isdir(path.parent) else ()
    raise UsageError(f"no {noun} file '{path}'{did_you_mean(str(path), map(str, beside))}")


def _from_file(noun: str, path: Path) -> Any:
    name = path.stem.replace("-", "_")
    if path.suffix.lower() != ".py":
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
    except (Exception, SystemExit) as error:
        raise InputError(f"'{path}' {_failure(error, path)}") from error
    return module


def _failure(error: BaseException, path: Path | None = None) -> str:
    """Return what went wrong in code that is not ours, and in which line of the file at `path`."""
    from traceback import extract_tb

    own = os.path.abspath(path) if path else None
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == own]
    return f"fails{f' in line {lines[-1]}' if lines else ''}: {type(error).__name__}: {error}"


def _call(noun: str, spec: Spec, function: Any, kind: type, *given: object, **extra: object) -> object:
    """Call a catalogue function with a spec's parameters, converted as it annotates them; check what it returns."""
    if not callable(function):
        raise InputError(f"{noun} '{spec.name}' is of type {type(function).__name__}, not a function")
    allowed = dict(list(parameters_of(function).items())[len(given) :])
    values = values_of(f"{noun} '{spec.name}'", spec.parameters, allowed, extra)
    try:
        result = function(*given, **values)
    except HwsimError:
        raise
    except (Exception, SystemExit) as error:
        if not _is_path(spec) or given:
            raise
        raise InputError(f"{noun} '{spec.name}' {_failure(error, Path(spec.name))}") from error
    if not isinstance(result, kind):
        raise InputError(f"{noun} '{spec.name}' returns {type(result).__name__}, not {kind.__name__}")
    return result

"""What is known of a measurement, checked where it comes from a file: somebody else may have written that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hwsim import catalog
from hwsim.errors import InputError, UsageError
from hwsim.formats import NumberFormat
from hwsim.ir.network import Network
from hwsim.measure.backends import backends
from hwsim.measure.predict import Seconds
from hwsim.measure.record import FIDELITY, HALVES, Measurement
from hwsim.results.subject import Subject, subject

LEAST_S, MOST_S = 1e-12, 1e9
"""No layer that takes time takes less or more."""

MOST_THREADS = 4096


class Recorded(NamedTuple):
    """A measurement: seconds by layer, twice if it was repeated, and which layers ran in the calls of others."""

    network: Network
    fmt: NumberFormat
    device: str
    chip: str
    library: str
    threads: int
    seconds: Seconds
    again: Seconds
    fused: Mapping[str, str]
    notes: tuple[str, ...]


def of_two(first: Measurement, second: Measurement) -> Recorded:
    """Return a measurement and its repetition."""
    seconds, again = ({row["layer"]: row["seconds"] for row in one.rows} for one in (first, second))
    return Recorded(
        first.network, first.fmt, first.device, first.chip, first.backend, first.threads, seconds, again,
        first.fused or {}, first.notes,
    )  # fmt: skip


def of_result(result: Any, name: str) -> Recorded:
    """Return a measurement as `--json` prints it; its runs' halves are each other's repetition.

    Raises `InputError`, with the folder's `name`, for what is no measurement or contradicts itself, and for one of a
    network that is a file, which the result is not trusted to name.
    """
    found = subject(result, name)
    how = result["inputs"].get("parameters")
    if found.fidelity != FIDELITY or not isinstance(how, Mapping):
        raise InputError(f"'{name}' was not measured: hwsim measure ... --out {name} writes what was")
    device, library = told(result["inputs"].get("chip")), told(how.get("backend"))
    network, notes = _network(found, name), result.get("notes", [])
    if not isinstance(notes, list):
        raise damaged(name, "its notes are no list")
    return Recorded(
        network,
        _format(found.format, library, device, name),
        device,
        found.chip,
        library,
        _threads(how.get("threads"), name),
        _seconds(found, network, HALVES[0], name),
        _seconds(found, network, HALVES[1], name),
        _fused(found, name),
        tuple(map(str, notes)),
    )


def damaged(name: str, what: str) -> InputError:
    """Return the error for a file that no measurement wrote."""
    return InputError(f"'{name}' is a damaged measurement: {what}")


def told(value: Any) -> str:
    """Return what an error sentence says of a value that somebody else has chosen."""
    return str(value)[:60] if isinstance(value, str | int | float) else type(value).__name__


def _network(found: Subject, name: str) -> Network:
    try:
        if catalog.is_path(found.run_as):
            raise InputError(f"'{name}' is of the file '{found.run_as}'; measure it again to compare it")
        network = catalog.network(found.run_as)
    except UsageError as error:
        raise damaged(name, str(error)) from None
    layers = {layer.name for layer in network.layers}
    if other := sorted(layers ^ set(found.layers)):
        whose = "network has" if other[0] in layers else "measurement has"
        raise damaged(name, f"only the {whose} a layer '{told(other[0])}'")
    return network


def _format(fmt: str, library: str, device: str, name: str) -> NumberFormat:
    """Return the format, which is one that the library computes in on that device."""
    known = backends().get((library, device))
    if known is None:
        raise damaged(name, f"there is no backend '{library}' of device '{device}'")
    if fmt not in known.formats:
        raise damaged(name, f"backend '{library}' does not compute in '{told(fmt)}'")
    return catalog.number_format(fmt)


def _threads(threads: Any, name: str) -> int:
    if type(threads) is int and 1 <= threads <= MOST_THREADS:
        return threads
    raise damaged(name, f"its threads are '{told(threads)}', no whole number from 1 to {MOST_THREADS}")


def _seconds(found: Subject, network: Network, column: str, name: str) -> Seconds:
    """Return a column of seconds by layer, in the network's order."""
    given: dict[str, Any] = {one.name: found.layers[one.name].get(column) for one in network.layers}
    for layer, value in given.items():
        if type(value) not in (int, float) or not (value == 0 or LEAST_S <= value <= MOST_S):
            what = f"{column} of layer '{layer}' is '{told(value)}'"
            raise damaged(name, f"{what}, neither 0 nor a number from {LEAST_S:g} to {MOST_S:g}")
    if not any(given.values()):
        raise damaged(name, f"no layer has {column} above 0")
    return {layer: float(value) for layer, value in given.items()}


def _fused(found: Subject, name: str) -> dict[str, str]:
    """Return the layers that ran in others' calls with those, each of which leads to one that ran in its own."""
    fused = {layer: row["fused_into"] for layer, row in found.layers.items() if row.get("fused_into")}
    for layer, into in fused.items():
        if not isinstance(into, str) or into not in found.layers:
            raise damaged(name, f"layer '{layer}' is fused into '{told(into)}', which is no layer")
    for layer, into in fused.items():
        seen = {layer}
        while into in fused and into not in seen:
            seen.add(into)
            into = fused[into]
        if into in seen:
            raise damaged(name, f"layer '{layer}' is fused into '{told(fused[layer])}' and that, in the end, into it")
    return fused

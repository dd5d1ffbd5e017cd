"""Libraries that run a network, one file each with an underscore behind its name: `numpy_` is backend numpy.

Such a file is a `Backend` itself, or lists several, one per device, in `BACKENDS`; files without the underscore are
parts of a larger one.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

from hwsim.errors import HardwareError, UsageError, near_match, unknown_name
from hwsim.measure.backend import Backend

DEVICES = ("cpu", "cuda")

PREFERRED = {"cpu": ("onnxruntime", "numba"), "cuda": ("torch",)}
"""What is measured on each device where nothing is asked for: the first that is installed."""


@cache
def backends() -> dict[tuple[str, str], Backend]:
    """Return every backend by its name and device, whether this machine can run it or not."""
    found = {}
    for name in (info.name for info in pkgutil.iter_modules(__path__) if info.name.endswith("_")):
        module = importlib.import_module(f"{__name__}.{name}")
        for one in getattr(module, "BACKENDS", (module,)):
            found[name.removesuffix("_"), one.device] = cast(Backend, one)
    return found


def chosen(name: str, device: str) -> tuple[str, Backend]:
    """Return the backend `name` of `device` with its name, or, without one, the device's first that is installed.

    Raises `UsageError` for an unknown device or backend, `HardwareError` where this machine cannot run it.
    """
    if device not in DEVICES:
        raise UsageError(f"nothing named '{device}' to measure on{near_match(device, DEVICES)}")
    known = {key: one for (key, where), one in backends().items() if where == device}
    if name and name not in known and any(name == key for key, _ in backends()):
        raise UsageError(f"backend '{name}' does not run on {device}; there are: {', '.join(sorted(known))}")
    if name and name not in known:
        raise unknown_name("backend", name, known)
    wanted = [name] if name else [key for key in PREFERRED[device] if key in known]
    lacking = {key: known[key].missing() for key in wanted}
    for key, sentence in lacking.items():
        if not sentence:
            return key, known[key]
    raise HardwareError(lacking[wanted[-1]])

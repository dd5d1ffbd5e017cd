"""What is known of a CPU by name: its facts, where each is from, and the constants that were fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hwsim.arch.calibration import Calibration
from hwsim.arch.calibration import Case as CalibrationCase
from hwsim.arch.source import Source
from hwsim.measured import calibrations
from hwsim.measured.host import HOST, read_host
from hwsim.published import table

from .constants import LIMITS

MEASURED = "sapphire_rapids_vm_2c"
"""The machine whose constants are taken where one's own were not measured."""

MACHINES = ("haswell_e5_2699v3", "i7_5930k", "sapphire_rapids", MEASURED, HOST)

COLD = ("haswell_e5_2699v3", "i7_5930k")
"""Machines whose published times are of services and of matrices that caches do not hold."""

TYPICAL = {"clock_mhz": 2500.0, "bandwidth_gb_s": 30.0, "tdp_w": 100.0, "node_nm": 10.0, "l3_mib": 16.0}

FITTED = ("keep_s", "call_s")
"""Facts that are fitted or measured with a library: no datasheet has them."""

OF_GUEST = {
    "cores": (2, "those that the guest was given"),
    "isa": ("amx", "as its system says"),
    "tdp_w": (20.0, "about the share that two of 56 cores have of 350 W, and of what they share"),
    "node_nm": (10.0, "Intel 7"),
}
"""Facts of the measured machine that were not measured."""


class Facts(NamedTuple):
    """A machine's `values` by name, the source of each, its own constants by case, and what readers must know."""

    values: Mapping[str, Any]
    sources: Mapping[str, Source]
    fitted: Mapping[CalibrationCase, Calibration]
    notes: tuple[str, ...] = ()

    def without_fits(self) -> Facts:
        """Return what is left if nothing is fitted."""
        values = {name: value for name, value in self.values.items() if name not in FITTED}
        sources = {name: source for name, source in self.sources.items() if name not in FITTED}
        return Facts(values, sources, {}, self.notes)


def facts_of(machine: str) -> Facts:
    """Return the facts of a machine by name; raises `InputError` for a damaged calibration of this one."""
    known = _host() if machine == HOST else _measured() if machine == MEASURED else _published(machine)
    typical = Source.assumed("typical of its generation; its datasheet was not found")
    return known._replace(
        values={**TYPICAL, **known.values}, sources={**dict.fromkeys(TYPICAL, typical), **known.sources}
    )


def _host() -> Facts:
    found = read_host(LIMITS)
    return Facts(found.facts, found.sources, found.fitted, (found.note,) if found.note else ())


def _measured() -> Facts:
    """Return the facts of the machine that was measured: each case of its own has its source."""
    fitted = calibrations(MEASURED)
    values: dict[str, Any] = {name: value for name, (value, _) in OF_GUEST.items()}
    sources = {name: Source.assumed(why) for name, (_, why) in OF_GUEST.items()}
    for name in ("machine", "last_cache", "kept", "run"):
        one = fitted["onnxruntime", name, "fp32"]
        values |= one.constants
        fits = f"; fitted on {one.shapes} shapes" if one.shapes else ""
        source = Source(one.source.work, one.source.year, f"{one.source.locator}{fits}")
        sources |= dict.fromkeys(one.constants, source)
    for name, of, unit in (("clock_mhz", "clock_hz", 1e6), ("bandwidth_gb_s", "memory_bytes_s", 1e9)):
        values[name], sources[name] = values[of] / unit, sources[of]
    values["l3_mib"], sources["l3_mib"] = values["l3_bytes"] / 2**20, sources["l3_bytes"]
    return Facts(values, sources, fitted)


def _published(machine: str) -> Facts:
    values: dict[str, Any] = {}
    sources = {}
    for row in table("cpus"):
        if row["machine"] == machine:
            value = row["value"]
            values[row["quantity"]] = value if row["quantity"] == "isa" else float(value)
            sources[row["quantity"]] = Source(row["work"], int(row["year"]), row["locator"])
    return Facts(values, sources, {})

"""Scaling of energy and area between process nodes."""

from __future__ import annotations

from math import exp, log

from hwsim.arch.source import Source
from hwsim.errors import InputError
from hwsim.published import table

SUPPLY_V = 0.9
"""Supply at which nodes are compared: that of the 45 nm energy table (Horowitz, ISSCC 2014, Fig. 1.1.9)."""


def energy_factor(node_nm: float, supply_v: float = SUPPLY_V) -> float:
    """Return the relative energy of an operation, f = a2 V^2 + a1 V + a0 (Stillmaker and Baas, Integration 58, 2017).

    Between two of its nodes the factor is interpolated, log f over log node. Raises `InputError` outside 7 ... 130 nm.
    """
    factors = [
        (
            float(row["node_nm"]),
            float(row["a2_per_v2"]) * supply_v**2 + float(row["a1_per_v"]) * supply_v + float(row["a0"]),
        )
        for row in table("technology")
    ]
    return _between(node_nm, factors)


def _between(node_nm: float, factors: list[tuple[float, float]]) -> float:
    """Return the factor at `node_nm`; raises `InputError` outside the nodes that have one."""
    known = sorted(factors)
    if not known[0][0] <= node_nm <= known[-1][0]:
        raise InputError(f"no scaling for {node_nm:g} nm; nodes from {known[0][0]:g} to {known[-1][0]:g} nm are known")
    return log_interpolate(node_nm, known)


def area_factor(node_nm: float) -> float:
    """Return the area of a circuit over that at 45 nm (Stillmaker and Baas, Integration 58, 2017, table of factors).

    Between two of its nodes the factor is interpolated, log factor over log node. Raises `InputError` outside them.
    """
    return _between(node_nm, [(float(row["node_nm"]), float(row["area_over_45nm"])) for row in table("technology")])


def scale_energy(energy_pj: float, from_nm: float, to_nm: float) -> float:
    """Return `energy_pj` [pJ] of an operation at node `from_nm` as it would be at `to_nm` and the same supply."""
    return energy_pj if from_nm == to_nm else energy_pj * energy_factor(to_nm) / energy_factor(from_nm)


def scaling_source(source: Source, from_nm: float, to_nm: float) -> Source:
    """Return `source` with a word on the scaling, if there was any."""
    if from_nm == to_nm:
        return source
    note = f"scaled from {from_nm:g} to {to_nm:g} nm at {SUPPLY_V:g} V by Stillmaker and Baas, Integration 58 (2017)"
    return Source(source.work, source.year, f"{source.locator}; {note}")


def log_interpolate(x: float, points: list[tuple[float, float]]) -> float:
    """Return y at `x` on straight lines in log-log through sorted `points`, the outer ones continued."""
    upper = next((i for i, (at, _) in enumerate(points) if at >= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(0, upper - 1)], points[max(1, upper)]
    return exp(log(y0) + (log(y1) - log(y0)) * (log(x) - log(x0)) / (log(x1) - log(x0)))

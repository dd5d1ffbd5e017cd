"""In which order the TPU paper's applications gain from a K80 over a Haswell, as published and as predicted.

Run as `python benchmarks/published_machines.py`; how far each ratio is off is in `hwsim validate --only over`.
"""

from __future__ import annotations

from itertools import combinations

from hwsim.results.expectation import expectations
from hwsim.validate.published import published_records
from hwsim.validate.record import Record
from hwsim.validate.scores import groups


def print_order(rows: list[Record]) -> None:
    """Print both orders, and how many pairs of applications stand in the published one."""
    print(rows[0].machine)
    for said, value in (("published", "reference"), ("predicted", "simulated")):
        ordered = sorted(rows, key=lambda one: getattr(one, value))
        print(f"  {said}: {' < '.join(f'{one.subject} {getattr(one, value):.2f}' for one in ordered)}")
    pairs = list(combinations(rows, 2))
    agreed = sum((a.reference < b.reference) == (a.simulated < b.simulated) for a, b in pairs)
    print(f"  pairs in the published order: {agreed} of {len(pairs)}")


if __name__ == "__main__":
    ratios = [row for row in expectations("tpu_v1_rooflines") if row.over is not None]
    for rows in groups(published_records(ratios), lambda one: one.machine):
        print_order(rows)

"""What stands beside the bars of a figure: published values of the runs in a frame, and what was measured of them.

| column                               | meaning                                                                |
|--------------------------------------|------------------------------------------------------------------------|
| `network`, `chip`, `batch`, `format` | of the run that the value belongs to, as in its rows                   |
| `layer`                              | name of a layer, or empty for the whole network                        |
| `quantity`, `value`, `unit`          | column of a layer's row or of a result's total, and its value          |
| `what`                               | published or measured                                                  |
| `source`                             | author and year, or the machine that measured                          |
| `remark`                             | what the value has that a simulation has not, or why it is in doubt    |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwsim.results.expectation import WHY_NOT, Expectation, expectations
from hwsim.results.record import Row
from hwsim.results.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "network", "chip", "batch", "format", "layer", "quantity", "value", "unit", "what", "source", "remark",
)  # fmt: skip

PUBLISHED, MEASURED = "published", "measured"

FIRST_HALF = "seconds_first_half"
"""A column that measurements have, and simulations have not."""

WHOLE = "network_seconds"
"""The column of measurements that has the time of the whole network, timed without its layers."""

TOLD = ("beyond", "contradiction")
"""Why a row is not scored that a reader of its value must know."""

RUN = ["network", "chip", "batch", "format", "dataflow"]


def beside(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what is published and measured of the runs in the layer rows `frame`, in `COLUMNS`.

    A measured run belongs to the simulated chip that models its machine, if that ran the same, and else to itself.
    """
    import pandas as pd

    measured = frame[FIRST_HALF].notna() if FIRST_HALF in frame else pd.Series(data=False, index=frame.index)
    known = frame[~measured].groupby(RUN, sort=False)["layer"].agg(set)
    simulated = [_subject(*key, layers=layers) for key, layers in known.items()]  # type: ignore[misc]
    tables = expectations()
    rows = [row for one in simulated for row in _published(one, tables)]
    for _, run in frame[measured].groupby(RUN, sort=False):
        rows += _measured(run, simulated)
    return pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates(ignore_index=True)


def _subject(network: str, chip: str, batch: float, fmt: str, dataflow: str, layers: set[str]) -> Subject:
    """Return a run of which tables may have rows, with the names of its layers."""
    return Subject("", network, "", int(batch), chip, fmt, dataflow, "", {}, {name: {} for name in layers})


def _published(one: Subject, tables: list[Expectation]) -> list[Row]:
    """Return the values that tables have of a run, without those relative to another run."""
    return [
        _row(one, row.layer, row.quantity, row.published, row.unit, PUBLISHED, _author(row), _remark(row))
        for row in tables
        if one.is_of(row) and row.over is None and (not row.layer or row.layer in one.layers)
    ]


def _author(row: Expectation) -> str:
    return f"{row.source.work.split(',')[0]} {row.source.year}"


def _remark(row: Expectation) -> str:
    return WHY_NOT[row.why_not] if row.why_not in TOLD else ""


def _measured(run: pd.DataFrame, simulated: list[Subject]) -> list[Row]:
    """Return time, throughput and, where it is known, energy of a measured run."""
    network, chip, batch, fmt, library = (run[name].iloc[0] for name in RUN)
    here = _subject(network, chip, batch, fmt, library, set())
    same = [one for one in simulated if (one.network, one.batch, one.format) == (network, batch, fmt)]
    of = next((one for one in same if models(one.chip, chip)), here)
    energy_pj = float(run["energy_pj"].sum())
    seconds = float(run[WHOLE].iloc[0] if WHOLE in run and run[WHOLE].notna().all() else run["seconds"].sum())
    found = [("seconds", seconds, "s"), ("inferences_per_s", batch / seconds if seconds else 0.0, "inferences/s")]
    found += [("energy_pj", energy_pj, "pJ")]
    source = f"{chip}, {library}"
    return [_row(of, "", *quantity, MEASURED, source) for quantity in found if quantity[1] > 0]


def models(simulated: str, measured: str) -> bool:
    """Whether a simulated chip is a model of the machine that a measurement names."""
    name, _, parameters = simulated.partition(":")
    machine = parameters.split(",")[0].removeprefix("machine=").lower()
    if measured.startswith("cpu:"):
        return name == "cpu" and machine == "host"
    return name == "gpu" and machine in measured.lower().replace("-", " ").split()


def _row(
    one: Subject, layer: str, quantity: str, value: float, unit: str, what: str, source: str, remark: str = ""
) -> dict[str, Any]:
    values = (one.network, one.chip, one.batch, one.format, layer, quantity, value, unit, what, source, remark)
    return dict(zip(COLUMNS, values, strict=True))

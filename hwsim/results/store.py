"""Result folders: what `--out` writes and `hwsim report` reads.

`layers.csv`, `result.json`, `trace.json` and `figures/` depend on the inputs alone and are the same bytes on every
machine; wall time, host and versions of libraries stand in `manifest.json`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hwsim.errors import HardwareError, InputError, UsageError, printable
from hwsim.ir.untrusted import read_bounded
from hwsim.results import origin
from hwsim.results.compare import Comparison, scores
from hwsim.results.record import SCHEMA, NetworkResult, Row
from hwsim.results.subject import Subject, subject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TEXTS = ("network", "layer", "kind", "chip", "dataflow", "format")
NUMBERS = (
    "batch", "weight_density", "input_density", "macs", "fill_cycles", "compute_cycles", "stall_cycles", "drain_cycles",
    "total_cycles", "seconds", "utilisation", "energy_pj",
)  # fmt: skip
"""Columns that every layer has."""

UNKNOWN = frozenset({"utilisation"})
"""Columns that may be empty: a measurement does not know its machine's peak rate."""

UNITS = ("_cycles", "_bytes", "_pj", "_fraction", "_per_s")
"""Endings of further columns that are numbers; a chip that lacks one leaves it empty."""

MAX_BYTES = 128 * 2**20
"""Largest result.json and layers.csv that are read; a layer takes 1.5 kB."""

LAYERS, RESULT, TRACE, MANIFEST, FIGURES = "layers.csv", "result.json", "trace.json", "manifest.json", "figures"


class Record(Protocol):
    """What a folder is written of: a simulation or a measurement."""

    @property
    def rows(self) -> list[Row]:
        """The columns of every layer."""

    @property
    def inputs(self) -> Row:
        """What ran, and how."""

    def as_dict(self) -> Row:
        """Return the whole as `--json` prints it."""


def json_text(results: Sequence[Record]) -> str:
    """Return one result as its JSON object, several as a list under "results"."""
    from hwsim import __version__

    dicts = [result.as_dict() for result in results]
    whole: Any = dicts[0] if len(dicts) == 1 else {"schema": SCHEMA, "hwsim": __version__, "results": dicts}
    return json.dumps(whole, indent=1) + "\n"


def csv_text(results: Sequence[Record]) -> str:
    """Return the layer rows of all results, one line each; a column that a layer does not have is empty."""
    return rows_text([row for result in results for row in result.rows])


def rows_text(rows: Sequence[Row]) -> str:
    """Return rows as CSV with the columns of all of them; what a row does not have, or is None, is empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: printable(value) if isinstance(value, str) else value for key, value in row.items()})
    return text.getvalue()


def comparison_text(comparisons: Sequence[Comparison], notes: Sequence[str]) -> str:
    """Return comparisons as a JSON object: the rows, the scores of their tables, and what was not compared."""
    from hwsim import __version__

    whole = {
        "schema": SCHEMA,
        "hwsim": __version__,
        "rows": [one.row() for one in comparisons],
        "scores": [one._asdict() for one in scores(comparisons)],
        "notes": list(notes),
    }
    return json.dumps(whole, indent=1) + "\n"


def trace_text(results: Sequence[NetworkResult]) -> str:
    """Return the timelines of all results as one Chrome trace, a process per chip."""
    from hwsim import catalog
    from hwsim.engine import trace

    events: list[dict[str, Any]] = []
    for process, result in enumerate(results):
        timelines = catalog.engine(result.chip.engine).spans(result)
        layers = (
            (layer.layer.name, layer.timing.total_cycles, spans)
            for layer, spans in zip(result.layers, timelines, strict=True)
        )
        one = trace.chrome_trace(layers, result.chip.clock_hz)
        label = {
            "name": "process_name",
            "ph": "M",
            "pid": process,
            "args": {"name": f"{result.network.name} on {result.chip.label or result.chip.name}"},
        }
        events += [label, *({**event, "pid": process} for event in one["traceEvents"])]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}) + "\n"


def write(results: Sequence[NetworkResult], folder: Path, reports: Iterable[str], wall_s: float) -> list[Path]:
    """Write a result folder with those figures of `reports` that its columns allow; return the figures' paths.

    Raises `HardwareError` where the folder cannot be written.
    """
    write_tables(results, folder, wall_s)
    write_text(folder / TRACE, trace_text(results))
    frame = read_frame(folder)
    drawn = [name for name in reports if not _lacking(name, frame)]
    return [path for name in drawn for path in draw(name, frame, folder / FIGURES)]


def write_tables(results: Sequence[Record], folder: Path, wall_s: float) -> None:
    """Write the layers, the whole and what made them; raises `HardwareError` where the folder cannot be written."""
    write_text(folder / LAYERS, csv_text(results))
    write_text(folder / RESULT, json_text(results))
    write_text(folder / MANIFEST, json.dumps(manifest(results, wall_s), indent=1) + "\n")


def manifest(results: Sequence[Record], wall_s: float) -> Row:
    """Return what made the folder: inputs, versions, host, wall time [s]."""
    from hwsim import __version__

    return {
        "hwsim": __version__,
        "runs": [result.inputs for result in results],
        "command": sys.argv[1:],
        "wall_s": round(wall_s, 3),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def read_subjects(folder: Path) -> list[Subject]:
    """Return the results of a result folder, as they are compared, named after the folder.

    Raises `UsageError` without one, `InputError` if it is malformed.
    """
    return [subject(result, str(folder)) for result in read_results(folder)]


def read_results(folder: Path) -> list[Any]:
    """Return the results of a result folder as they were written; raises as `read_subjects`, which checks more."""
    path = _existing(folder, RESULT)
    try:
        whole = json.loads(read_bounded(path, "result", MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise InputError(f"result '{path}' is not JSON: {error}") from None
    results = whole.get("results", [whole]) if isinstance(whole, dict) else None
    if not isinstance(results, list) or not results:
        raise InputError(f"result '{path}' holds no results: it is none that hwsim run wrote")
    return results


def read_frame(folder: Path) -> pd.DataFrame:
    """Return the layer rows of a result folder; raises `UsageError` without one, `InputError` if it is malformed."""
    import pandas as pd

    path = _existing(folder, LAYERS)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        frame = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not a table of layers: {str(error).splitlines()[0]}") from error
    missing = [name for name in (*TEXTS, *NUMBERS) if name not in frame]
    if missing:
        raise InputError(f"'{path}' lacks the columns {', '.join(missing)}")
    if frame.empty:
        raise InputError(f"'{path}' has a header and no layers")
    for name in map(str, frame):
        if name in NUMBERS or name.endswith(UNITS):
            _check_numbers(path, frame[name])
    return frame.fillna(dict.fromkeys(TEXTS, "")).copy()  # in one block, which many columns are not as they are read


def _existing(folder: Path, name: str) -> Path:
    """Return the path of file `name` in a result folder."""
    if not os.path.isfile(folder / name):  # os.path, because pathlib raises for names that are too long
        raise UsageError(
            f"'{folder}' is no result folder: it has no {name}; make one with hwsim run ... --out {folder}"
        )
    return folder / name


def read_frames(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the layer rows of several result folders, one after the other."""
    import pandas as pd

    return pd.concat(map(read_frame, folders), ignore_index=True)


def _check_numbers(path: Path, column: pd.Series[Any]) -> None:
    """Raise `InputError` where a column of `NUMBERS` or `UNITS` has text, infinity, a number below 0 or a gap."""
    import pandas as pd

    numbers, optional = pd.to_numeric(column, errors="coerce"), column.name not in set(NUMBERS) - UNKNOWN
    wrong = column[~(numbers.between(0, sys.float_info.max) | (column.isna() & optional))]
    if not wrong.empty:
        row, value = wrong.index[0] + 2, wrong.iloc[0]
        raise InputError(f"'{path}', line {row}: {column.name} is '{value}', not a number from 0 on")


def draw(report: str, frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw `report` of the layer rows into `folder` as PNG and SVG, the same bytes every time; return both paths.

    Raises `InputError` where the rows lack columns that it needs.
    """
    import matplotlib

    lacking = _lacking(report, frame)
    if lacking:
        raise InputError(f"report '{report}' needs the columns {', '.join(lacking)}, which these results do not have")
    drawn_of = origin.origin(report, frame)
    with matplotlib.rc_context({"svg.hashsalt": "hwsim", "backend": "agg"}):
        from matplotlib import pyplot

        drawn = figure(report, frame)
        paths = [folder / f"{report}.{suffix}" for suffix in ("png", "svg")]
        for path in paths:
            content = io.BytesIO()
            dateless = {"Date": None} if path.suffix == ".svg" else {}
            drawn.savefig(content, format=path.suffix[1:], dpi=150, metadata={**dateless, origin.KEY: drawn_of})
            write_bytes(path, content.getvalue())
            drawn.set_layout_engine(None)  # both files have one layout, which takes half of the time
        pyplot.close(drawn)
    return paths


def figure(report: str, frame: pd.DataFrame) -> Figure:
    """Return the figure that `report` draws of the layer rows; one that asks for `beside` is given that table, too."""
    from inspect import signature

    from hwsim import catalog

    draws = catalog.report(report)
    if "beside" not in signature(draws).parameters:
        return draws(frame)
    from hwsim.results.beside import beside

    return draws(frame, beside=beside(frame))


def _lacking(report: str, frame: pd.DataFrame) -> list[str]:
    from hwsim import catalog

    return [name for name in catalog.report_needs(report) if name not in frame]


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, folders included; bytes of a file's name that are no text are escaped."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then rename it, so that a full disk or an interrupt leaves the old file whole."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise HardwareError(f"cannot write '{path}': {error.strerror or error}") from error

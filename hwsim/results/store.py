"""Result folders: what `--out` writes and `hwsim report` reads.

`layers.csv`, `result.json`, `trace.json` and `figures/` depend on the inputs alone and are the same bytes on every
machine; wall time, host and versions of libraries stand in `manifest.json`.
"""

from __future__ import annotations

import csv
import io
import json
import platform
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hwsim.errors import HardwareError, InputError, UsageError, printable
from hwsim.ir.untrusted import read_bounded
from hwsim.results import frame, origin
from hwsim.results.compare import Comparison, scores
from hwsim.results.record import SCHEMA, NetworkResult, Row
from hwsim.results.subject import Subject, subject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LAYERS, RESULT, TRACE, MANIFEST, FIGURES = frame.LAYERS, "result.json", "trace.json", "manifest.json", "figures"


NOTHING: Mapping[str, str] = {}


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


def write(
    results: Sequence[NetworkResult],
    folder: Path,
    reports: Iterable[str],
    wall_s: float,
    left_out: Mapping[str, str] = NOTHING,
) -> list[Path]:
    """Write a result folder with those figures of `reports` that its columns allow; return the figures' paths.

    `left_out` says of chips that were asked for and cannot run the network why. Raises `HardwareError` where the
    folder cannot be written.
    """
    write_tables(results, folder, wall_s, left_out)
    write_text(folder / TRACE, trace_text(results))
    rows = frame.read_frame(folder)
    drawn = [name for name in reports if not _lacking(name, rows)]
    return [path for name in drawn for path in draw(name, rows, folder / FIGURES)]


def write_tables(results: Sequence[Record], folder: Path, wall_s: float, left_out: Mapping[str, str] = NOTHING) -> None:
    """Write the layers, the whole and what made them; raises `HardwareError` where the folder cannot be written."""
    write_text(folder / LAYERS, csv_text(results))
    write_text(folder / RESULT, json_text(results))
    write_text(folder / MANIFEST, json.dumps(manifest(results, wall_s, left_out), indent=1) + "\n")


def manifest(results: Sequence[Record], wall_s: float, left_out: Mapping[str, str]) -> Row:
    """Return what made the folder: inputs, chips that were left out and why, versions, host, wall time [s]."""
    from hwsim import __version__

    return {
        "hwsim": __version__,
        "runs": [result.inputs for result in results],
        "left_out": [{"chip": chip, "why": why} for chip, why in left_out.items()],
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
    path = frame.existing(folder, RESULT)
    try:
        whole = json.loads(read_bounded(path, "result", frame.MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise InputError(f"result '{path}' is not JSON: {error}") from None
    results = whole.get("results", [whole]) if isinstance(whole, dict) else None
    if not isinstance(results, list) or not results:
        raise InputError(f"result '{path}' holds no results: it is none that hwsim run wrote")
    return results


def read_left_out(folder: Path) -> list[tuple[str, str]]:
    """Return the chips that `hwsim run` left out of a result folder and why; none where its manifest does not say."""
    try:
        whole = json.loads(read_bounded(folder / MANIFEST, "manifest", frame.MAX_BYTES))
    except (InputError, UsageError, ValueError, RecursionError):
        return []
    found = whole.get("left_out") if isinstance(whole, dict) else None
    told = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [(str(one["chip"]), str(one["why"])) for one in told if {"chip", "why"} <= set(one)]


def draw(report: str, rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw `report` of the layer rows into `folder` as PNG and SVG, the same bytes every time; return both paths.

    Raises `InputError` where the rows lack columns that it needs.
    """
    import matplotlib

    lacking = _lacking(report, rows)
    if lacking:
        raise InputError(f"report '{report}' needs the columns {', '.join(lacking)}, which these results do not have")
    drawn_of = origin.origin(report, rows)
    with matplotlib.rc_context({"svg.hashsalt": "hwsim", "backend": "agg"}), warnings.catch_warnings():
        from matplotlib import pyplot

        drawn = figure(report, rows)
        paths = [folder / f"{report}.{suffix}" for suffix in ("png", "svg")]
        for path in paths:
            content = io.BytesIO()
            dateless = {"Date": None} if path.suffix == ".svg" else {}
            # names of somebody else's may be longer than any figure is wide
            warnings.filterwarnings("ignore", "constrained_layout not applied")
            drawn.savefig(content, format=path.suffix[1:], dpi=150, metadata={**dateless, origin.KEY: drawn_of})
            write_bytes(path, content.getvalue())
            drawn.set_layout_engine(None)  # both files have one layout, which takes half of the time
        pyplot.close(drawn)
    return paths


def figure(report: str, rows: pd.DataFrame) -> Figure:
    """Return the figure that `report` draws of the layer rows; one that asks for `beside` is given that table, too."""
    from inspect import signature

    from hwsim import catalog

    draws = catalog.report(report)
    if "beside" not in signature(draws).parameters:
        return draws(rows)
    from hwsim.results.beside import beside

    return draws(rows, beside=beside(rows))


def _lacking(report: str, rows: pd.DataFrame) -> list[str]:
    from hwsim import catalog

    return [name for name in catalog.report_needs(report) if name not in rows]


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

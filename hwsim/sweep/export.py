"""A study as CSV or Parquet, a part at a time: the same points give the same bytes, whatever the order they came in."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import HardwareError, UsageError, printable

from .tables import Kind, Row, Table

if TYPE_CHECKING:
    import pyarrow as pa

EXTRA = "pip install 'hwsim[sweep]'"

COMPRESSION = "zstd"


def writer(path: Path) -> Callable[[Table, Path], None]:
    """Return what writes a table to `path`, by its suffix; raises `UsageError` for another."""
    found = {".csv": to_csv, ".parquet": to_parquet}.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"--out '{path}' is neither a .csv nor a .parquet")
    return found


def to_csv(table: Table, path: Path) -> None:
    """Write a table as CSV; raises `HardwareError` where that is impossible, and leaves what was there."""
    with _beside(path) as beside, beside.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
        file.writelines(csv_parts(table))


def csv_parts(table: Table) -> Iterator[str]:
    """Yield a table as CSV, some rows at a time: numbers as Python spells them, what is not there empty.

    pandas reads the very numbers, before 3.1 with `float_precision="round_trip"`. Control characters are escaped.
    """
    yield _lines([table.columns])
    yield from map(_lines, table.batches())


def _lines(rows: Sequence[Row]) -> str:
    text = _csv(rows)
    if text.replace("\n", "").isprintable() and text.count("\n") == len(rows):
        return text
    return _csv([tuple(printable(one) if isinstance(one, str) else one for one in row) for row in rows])


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def to_parquet(table: Table, path: Path) -> None:
    """Write a table as Parquet, by pyarrow; raises as `to_csv`, and `UsageError` without that package."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(f"Parquet needs pyarrow, which is not installed: {EXTRA}, or export a .csv") from None
    types = {Kind.TEXT: pa.string(), Kind.WHOLE: pa.int64(), Kind.REAL: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in table.kinds.items()])
    with _beside(path) as beside, pq.ParquetWriter(beside, schema, compression=COMPRESSION) as file:
        for rows in table.batches():
            file.write_batch(_record_batch(table, rows, schema))


def _record_batch(table: Table, rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for (name, kind), field, cells in zip(table.kinds.items(), schema, zip(*rows, strict=True), strict=True):
        try:
            arrays.append(pa.array(_texts(cells) if kind is Kind.TEXT else cells, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise table.malformed(name) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _texts(cells: Sequence[Any]) -> Sequence[str]:
    return [one if type(one) is str else "" if one is None else str(one) for one in cells]


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield a file beside `path` that takes its place when all is written; raises `HardwareError`, and removes it."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):
            # pyarrow wraps the sentence and keeps the number
            said = os.strerror(error.errno) if error.errno else error
            raise HardwareError(f"cannot write '{path}': {said}") from error
        raise

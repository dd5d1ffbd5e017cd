"""Kernels that others measured on GPUs, beside what the functions of the chip `gpu` predict of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hwsim.arch.source import Source
from hwsim.mapping.gpu.constants import Case, case_of
from hwsim.measured import calibrations
from hwsim.measured.kernels import FOLDER
from hwsim.validate.record import MEASURED, Fit, Record

from .layers import conv_tables, deepbench_conv_tables, deepbench_recurrent_tables
from .products import deepbench_tables, fp32_tables, gemm_tables
from .streams import attention_tables, stream_tables
from .tables import FITTED, Part, Table, Timed, split

READERS = (
    gemm_tables,
    fp32_tables,
    stream_tables,
    attention_tables,
    conv_tables,
    deepbench_tables,
    deepbench_conv_tables,
    deepbench_recurrent_tables,
)

ON_ITS_SHAPE = "constants were fitted on its shape"

DECODE = "decode_"
"""How constants of attention of one query begin."""

US_TO_S = 1e-6


def gpu_tables(folder: Path = FOLDER) -> list[Table]:
    """Return every table of a folder of measured kernels."""
    return [table for reader in READERS for table in reader(folder)]


def gpu_records() -> Iterator[Record]:
    """Yield every kernel of the shipped tables; those of shapes that constants were fitted on are not scored."""
    for table in gpu_tables():
        cases = [shipped_case(table, part) for part in table.parts]
        fit = fit_of(table, cases)
        for part, case in zip(table.parts, cases, strict=True):
            tested = {id(row) for row in split(part)[1]}
            for row in part.rows:
                yield _record(table, part, case, row, "" if id(row) in tested else ON_ITS_SHAPE, fit)


def fit_of(table: Table, cases: Sequence[Case]) -> Fit:
    """Return how many constants of a table's parts were fitted, those that were chosen left out."""
    names = [name for case in cases for name in case.constants if name not in case.chosen]
    if table.parts[0].op_class == "attention":  # one case has the constants of both kinds
        names = [name for name in names if name.startswith(DECODE) == table.name.startswith(DECODE.rstrip("_"))]
    return Fit(table.name, len(names), sum(part.shapes for part in table.parts))


def shipped_case(table: Table, part: Part) -> Case:
    """Return the constants that ship for a part, as its kernels take them."""
    found = calibrations(table.machine)[part.library or table.library, part.op_class, table.fmt]
    return case_of(part.op_class, table.path, table.library, found.constants, found.source, found.shapes)


def _record(table: Table, part: Part, case: Case, row: Timed, why_not: str, fit: Fit) -> Record:
    return Record(
        machine=f"gpu:{table.machine}",
        group=MEASURED,
        table=table.name,
        metric=table.metric,
        subject=_subject(part, row),
        quantity="seconds",
        simulated=US_TO_S * part.predict(table.machine_array, case, row, FITTED),
        reference=US_TO_S * row.us,
        unit="s",
        source=Source(*table.source),
        why_not=why_not,
        baseline=US_TO_S * row.roofline_us,
        fit=fit,
    )


def _subject(part: Part, row: Timed) -> str:
    """Return what a row computes, as people say it."""
    at = row.shape
    if part.op_class in ("gemm", "bmm"):
        batch, m, n, k, _ = at
        return f"{f'{batch} of ' if batch > 1 else ''}{m} x {n} x {k}"
    if part.op_class == "conv":
        n, c, h, w, k, r, s, *_padding, down, _across = at
        return f"{n} x {c} x {h} x {w} by {k} of {r} x {s}{f', stride {down}' if down > 1 else ''}"
    if part.op_class == "recurrent":
        op, hidden, batch, steps, *_ = at
        return f"{op.removeprefix('rnn_')} of {hidden}, batch {batch}, {steps} steps"
    if part.op_class == "attention":
        batch, length, heads, kv, width, *_ = at
        return f"{part.library}: batch {batch}, length {length}, {heads} heads of {width}, {kv} of keys"
    op, _, rows, cols, _ = at
    return f"{op} of {rows} x {cols}"

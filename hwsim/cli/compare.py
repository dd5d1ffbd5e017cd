"""`hwsim compare`: results beside what is published or measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hwsim.cli.options import BOTH
from hwsim.errors import UsageError, printable

MEASURED = "measured"


@click.command()
@click.argument("subjects", metavar="RESULT|NETWORK...", nargs=-1, required=True)
@click.option(
    "--with", "tables", default="published", show_default=True, help="All tables, one, a .csv, or 'measured'."
)
@click.option("--fail-above", type=float, metavar="PERCENT", help="Exit code 4 if a table's mean error is above.")
@click.option("--json", "as_json", is_flag=True, help="Print rows, mean errors and notes as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
@click.option("--on", "device", help="With measured: cpu (the default) or cuda, where networks are run.")
@click.option("--backend", help="With measured: the library that runs them.")
@click.option("--format", "fmt", help="With measured: the number format that they are run in.")
@click.option("--threads", type=click.IntRange(1), help="With measured: threads, one per core by default.")
@click.option("--chip", help="With measured: the chip that predicts; the model of the machine by default.")
@click.option("--out", type=click.Path(path_type=Path), help="With measured: folder for the table and the picture.")
def compare(
    subjects: tuple[str, ...],
    tables: str,
    fail_above: float | None,
    as_json: bool,
    as_csv: bool,
    device: str | None,
    backend: str | None,
    fmt: str | None,
    threads: int | None,
    chip: str | None,
    out: Path | None,
) -> None:
    """Hold each RESULT, a folder that `hwsim run --out` wrote, against tables of published figures.

    The tables are all that are shipped ("published"), one of them by its name, or a .csv file of your own. A row's
    error is relative to the published value; a table's mean is over its scored rows, regardless of sign. A scored row
    that is not in a result exceeds every limit.

    With "measured", each NETWORK is run here, twice, or each folder that `hwsim measure --out` wrote is read, and what
    the model of the machine predicts stands beside it, layer by layer.
    """
    if as_json and as_csv:
        raise UsageError(BOTH)
    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise UsageError(f"--fail-above {fail_above:g} is not a percentage from 0 on")
    how = {"on": device, "backend": backend, "format": fmt, "threads": threads}
    given = {name: value for name, value in how.items() if value is not None}
    if tables == MEASURED:
        _with_measured(subjects, given, chip or "", fail_above, as_json, as_csv, out)
        return
    for name, value in {**given, "chip": chip, "out": out}.items():
        if value is not None:
            raise UsageError(
                f"--{name} is for --with measured; tables of figures are compared with results as they are"
            )
    _with_tables([Path(subject) for subject in subjects], tables, fail_above, as_json, as_csv)


def _with_tables(folders: Sequence[Path], tables: str, fail_above: float | None, as_json: bool, as_csv: bool) -> None:
    from hwsim.results import compare as held
    from hwsim.results import store
    from hwsim.results.expectation import expectations

    rows = expectations(tables)
    found = [one for folder in folders for one in store.read_subjects(folder)]
    comparisons, notes = held.compare(found, rows), held.why_not_compared(found, rows)
    if as_json:
        click.echo(store.comparison_text(comparisons, notes), nl=False)
    elif as_csv:
        click.echo(store.rows_text([one.row() for one in comparisons]), nl=False)
        click.echo("".join(f"note: {printable(note)}\n" for note in notes), nl=False, err=True)
    else:
        from hwsim.results.terminal_compare import print_comparisons

        print_comparisons(comparisons, notes)
    if fail_above is not None:
        held.require_within(comparisons, fail_above)


def _with_measured(
    subjects: Sequence[str],
    how: Mapping[str, Any],
    chip: str,
    fail_above: float | None,
    as_json: bool,
    as_csv: bool,
    out: Path | None,
) -> None:
    from hwsim.measure import beside, predict
    from hwsim.measure.terminal import print_predictions
    from hwsim.results import store

    found = [one for subject in subjects for one in beside.of(subject, chip, **how)]
    rows = [row for one in found for row in one.table_rows()]
    scores = [(one, predict.accuracy(one.rows)) for one in found]
    if as_json:
        click.echo(beside.json_text(scores), nl=False)
    elif as_csv:
        click.echo(store.rows_text(rows), nl=False)
    for one, accuracies in [] if as_json or as_csv else scores:
        print_predictions(one.where, one.rows, accuracies, one.notes)
    if out is not None:
        for path in beside.write(rows, out):
            click.echo(f"wrote {path}", err=True)
    for _, accuracies in scores if fail_above is not None else ():
        predict.require_below(accuracies, fail_above or 0.0)

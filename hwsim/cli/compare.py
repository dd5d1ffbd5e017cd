"""`hwsim compare`: results beside what is published or measured."""

from __future__ import annotations

from pathlib import Path

import click

from hwsim.cli.options import BOTH
from hwsim.errors import UsageError, printable


@click.command()
@click.argument("folders", metavar="RESULT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--with", "tables", default="published", show_default=True, help="All tables there are, one, or a .csv.")
@click.option("--fail-above", type=float, metavar="PERCENT", help="Exit code 4 if a table's mean error is above.")
@click.option("--json", "as_json", is_flag=True, help="Print rows, mean errors and notes as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
def compare(folders: tuple[Path, ...], tables: str, fail_above: float | None, as_json: bool, as_csv: bool) -> None:
    """Hold each RESULT, a folder that `hwsim run --out` wrote, against tables of published figures.

    The tables are all that are shipped ("published"), one of them by its name, or a .csv file of your own. A row's
    error is relative to the published value; a table's mean is over its scored rows, regardless of sign. A scored row
    that is not in a result exceeds every limit.
    """
    if as_json and as_csv:
        raise UsageError(BOTH)
    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise UsageError(f"--fail-above {fail_above:g} is not a percentage from 0 on")
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

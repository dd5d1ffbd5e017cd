"""`hwsim validate`: every published table and every recorded measurement, and how far off the answers are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hwsim.cli.options import BOTH
from hwsim.errors import UsageError


@click.command()
@click.option("--only", default="", metavar="TEXT", help="Only machines, tables or metrics with TEXT in their name.")
@click.option("--json", "as_json", is_flag=True, help="Print scores and rows as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the page, the tables and the figures.")
@click.option("--readme", type=click.Path(path_type=Path), help="File whose marks the short table goes between.")
@click.option("--fail-above", type=float, metavar="PERCENT", help="Exit code 4 if a metric's mean error is above.")
def validate(
    only: str, as_json: bool, as_csv: bool, out: Path | None, readme: Path | None, fail_above: float | None
) -> None:
    """Hold every model against its paper's tables and against recorded measurements.

    Each published table is run by itself; measured kernels, layers and networks are predicted by the functions that the
    chips use. Rows that constants were fitted on, or that their source contradicts, are shown and not scored.
    """
    if as_json and as_csv:
        raise UsageError(BOTH)
    if readme is not None and only:
        raise UsageError(f"--readme shows all machines; leave out --only {only}")
    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise UsageError(f"--fail-above {fail_above:g} is not a percentage from 0 on")
    from hwsim import __version__
    from hwsim.validate import output, records, require_within, scores

    found = records(only)
    if as_json:
        whole = {
            "schema": 1,
            "hwsim": __version__,
            "scores": [one.row() for one in scores(found)],
            "rows": [one.row() for one in found],
        }
        click.echo(json.dumps(whole, indent=1))
    elif as_csv:
        click.echo(output.rows_text(found), nl=False)
    else:
        from hwsim.validate.terminal import print_scoreboard

        print_scoreboard(found)
    for path in output.write(found, out) if out is not None else ():
        click.echo(f"wrote {path}", err=True)
    if readme is not None:
        from hwsim.validate.readme import block, insert

        insert(readme, block(found))
        click.echo(f"wrote {readme}", err=True)
    if fail_above is not None:
        require_within(scores(found), fail_above)

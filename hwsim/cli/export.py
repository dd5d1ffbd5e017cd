"""`hwsim export`: the points of a study as a table."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="A .csv or .parquet; CSV on standard output without it.")
@click.option("--layers", is_flag=True, help="A row per layer of every point, not per point.")
def export(study: Path, out: Path | None, layers: bool) -> None:
    """Write the points of STUDY, a file that `hwsim sweep` made, as CSV or Parquet.

    Rows are sorted by what names a point, so that two studies of the same points give the same bytes.

    \b
    hwsim export study.sqlite --out points.parquet
    hwsim export study.sqlite --layers --out layers.csv
    """
    from hwsim.sweep import export as exports
    from hwsim.sweep.database import Study
    from hwsim.sweep.start import path_of

    write = exports.writer(out) if out is not None else None
    with Study.open(path_of(study), create=False, readonly=True) as opened:
        table = opened.table(layers)
        if out is None or write is None:
            for part in exports.csv_parts(table):
                click.echo(part, nl=False)
            return
        write(table, out)
    click.echo(f"wrote {out}", err=True)

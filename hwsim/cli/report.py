"""`hwsim report`: pictures of result folders."""

from __future__ import annotations

from pathlib import Path

import click

from hwsim import catalog


@click.command()
@click.argument("name")
@click.argument("folders", metavar="RESULT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures; figures in the first RESULT.")
def report(name: str, folders: tuple[Path, ...], out: Path | None) -> None:
    """Draw report NAME of each RESULT, a folder that `hwsim run --out` wrote, in one picture."""
    from hwsim.results import store

    catalog.report(name)
    for path in store.draw(name, store.read_frames(folders), out or folders[0] / store.FIGURES):
        click.echo(str(path))

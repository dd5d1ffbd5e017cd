"""`hwsim report`: pictures of result folders and of studies, and a page of them that opens in any browser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwsim import catalog
from hwsim.errors import InputError, UsageError, printable

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
"""Every report that the results have the columns for."""


@click.command()
@click.argument("name")
@click.argument("paths", metavar="RESULT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures; figures in the first RESULT.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one page instead of pictures.")
def report(name: str, paths: tuple[Path, ...], out: Path | None, html: Path | None) -> None:
    """Draw report NAME of each RESULT in one picture; 'all' draws each report that the results have columns for.

    A RESULT is a folder that `hwsim run --out` wrote, or a study of `hwsim sweep`, of which the points are drawn that
    did not fail; its pictures are in a folder of the study's name, without its suffix. With --html, pictures, tables
    and sources are one page that opens offline.
    """
    if name != ALL:
        catalog.report(name)
    if html is not None:
        if out is not None:
            raise UsageError("--out is the folder of pictures, and --html has them in its page; give one of them")
        _page(name, paths, html)
        return
    frame = read(paths)
    folder = out or beside(paths[0]) / "figures"
    written, left = _draw(name, frame, folder)
    for path in written:
        click.echo(str(path))
    if left and not written:
        raise InputError(left[0])
    _tell(left)


def _draw(name: str, frame: pd.DataFrame, folder: Path) -> tuple[list[Path], list[str]]:
    """Return the pictures that were drawn and why others were not; one that was named must be drawn."""
    from hwsim.results import page_figures, store

    if name != ALL:
        return store.draw(name, frame, folder), []
    written, left = list[Path](), list[str]()
    for each in page_figures.possible(frame):
        try:
            written += store.draw(each, frame, folder)
        except InputError as error:
            left.append(str(error))
    return written, left


def _page(name: str, paths: Sequence[Path], html: Path) -> None:
    """Write the page of result folders or of a study."""
    from hwsim.results import page_figures, page_results
    from hwsim.sweep import page as page_study

    studies = [path for path in paths if is_study(path)]
    if studies and len(paths) > 1:
        raise UsageError(f"a page is of result folders or of one study, and '{studies[0]}' is a study beside others")
    frame = read(paths)
    reports = page_figures.possible(frame) if name == ALL else [name]
    if studies:
        left = page_study.write(paths[0], frame, reports, html)
    else:
        left = page_results.write(paths, frame, reports, html)
    click.echo(str(html))
    _tell(left)


def _tell(left: Sequence[str]) -> None:
    """Say why reports are left out."""
    for why in left:
        click.echo(f"hwsim: left out: {printable(why)}", err=True)


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """Return the rows of result folders and of studies, one after the other."""
    import pandas as pd

    from hwsim.results.frame import read_frame

    found = [_points(path) if is_study(path) else read_frame(path) for path in paths]
    joined = pd.concat(found, ignore_index=True)
    joined.attrs.update(found[0].attrs)
    return joined


def is_study(path: Path) -> bool:
    """Whether `path` is a file of SQLite's, as studies are."""
    from hwsim.sweep.schema import is_sqlite

    return os.path.isfile(path) and is_sqlite(path)  # os.path, because pathlib raises for names that are too long


def beside(path: Path) -> Path:
    """Return the folder of a result: a study's has its name."""
    return path.with_suffix("") if is_study(path) else path


def _points(path: Path) -> pd.DataFrame:
    from hwsim.sweep.database import Study

    with Study.open(path, create=False, readonly=True) as study:
        frame = study.frame()
        frame.attrs["objectives"] = tuple(dict.fromkeys(name for one in study.spaces() for name in one.objectives))
    computed = frame[frame["error"] == ""]
    if computed.empty:
        raise InputError(f"study '{path}' has no points that were computed")
    return computed

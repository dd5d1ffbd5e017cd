"""Studies: many simulations, each computed once, in one file.

    >>> import hwsim
    >>> done = hwsim.sweep("alexnet", "eyeriss:rows={8,12,16}", density=[1.0, 0.5], out="runs/rows")
    >>> done.best["energy"]["chip"], done.frame

`hwsim.sweep` is that function, as `hwsim.simulate` is one; the modules beside it are imported by their names.

| module       | what                                                                |
|--------------|---------------------------------------------------------------------|
| `space`      | what is swept: points, numbered through, each with its key          |
| `axes`       | lists and ranges in options -> the axes of a space                  |
| `study_file` | options, and a TOML file of them                                    |
| `objectives` | what is sought, and the front that no point beats                   |
| `search`     | which points are computed, in which slices: grid, random, `guided`  |
| `evaluate`   | points -> rows, by the shortest of three routes                     |
| `executors`  | where: in this process, in several, on a dask cluster               |
| `run`        | the loop: claim, compute, commit; `interruption` is Ctrl-C          |
| `start`      | a sweep from its options to its `summary`                           |
| `database`   | one SQLite file per study; `queries` is what a sweep asks of it     |
| `export`     | a study as CSV or Parquet                                           |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Progress
    from .summary import Summary

__all__ = ["sweep"]

Values = str | float | Iterable[str | float] | None


def sweep(
    networks: Values = None,
    on: Values = None,
    *,
    study: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    dataflow: Values = None,
    format: Values = None,  # noqa: A002 - the option's name everywhere else
    density: Values = None,
    input_density: Values = None,
    batch: Values = None,
    objective: Values = None,
    search: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    layers: bool | None = None,
    resume: str | os.PathLike[str] | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Return what a sweep came to: every network on every chip with all of the values, each point computed once.

    Options are those of `hwsim sweep`, as text ("eyeriss:rows={8,12,16}", "1.0,0.5") or as lists; `study` is a TOML
    file of them. Points are kept in the file `out`, by default one that the same sweep finds again, in which a point
    that is there is not computed again. `resume` is a study to go on with: only `jobs` and `cluster` go with it.
    `jobs` defaults to the number of cores; a script that uses several calls this under `if __name__ == "__main__":`.
    The first Ctrl-C ends the sweep, with what is done in the file. Raises `UsageError` for names that there are not,
    `HardwareError` where the file cannot be written. A point that fails is in the file with its error.
    """
    from . import start
    from .search import plan
    from .study_file import options

    given: dict[str, object] = {
        "networks": _text(networks),
        "on": _text(on),
        "dataflow": _text(dataflow),
        "format": _text(format),
        "density": _text(density),
        "input_density": _text(input_density),
        "batch": _text(batch),
        "objective": _text(objective),
        "search": search,
        "samples": samples,
        "seed": seed,
        "layers": layers,
    }
    if resume is not None:
        _nothing_but_resume({**given, "study": study, "out": out})
        path = start.path_of(resume)
        return start.run(path, start.resumed(path), jobs, cluster, on_progress)
    chosen = options(None if study is None else Path(study), {**given, "jobs": jobs})
    space = chosen.space()
    planned = plan(space, chosen.search, chosen.samples, chosen.seed, chosen.layers)
    path = start.path_of(out) if out is not None else start.default_path(space)
    return start.run(path, [(space, planned)], chosen.jobs, cluster, on_progress)


def _text(values: Values) -> str | None:
    """Return values as an option has them."""
    if values is None or isinstance(values, str):
        return values
    return ",".join(map(str, values)) if isinstance(values, Iterable) else str(values)


def _nothing_but_resume(given: dict[str, object]) -> None:
    from hwsim.errors import UsageError

    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--resume goes on with what a study was asked for, and takes no {name.replace('_', '-')}")

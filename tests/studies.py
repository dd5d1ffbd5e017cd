"""Studies with numbers that are made up, and processes that write them: `python studies.py VERB FILE ...`."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hwsim.errors import HwsimError
from hwsim.sweep.database import Study
from hwsim.sweep.evaluate import Rows
from hwsim.sweep.metrics import LAYERS, METRICS, WHOLE, Columns
from hwsim.sweep.space import Axis, Block, Ordinals, Space

SIZE = 7
"""Points of a slice."""

FAILED = 13
"""Every point whose ordinal this divides has failed, 0 too."""

LAYER_NAMES = ("conv", "fc, with a comma")


def space(rows: int = 11, densities: int = 7) -> Space:
    """Return a space of `rows` x `densities` points."""
    axes = (
        Axis("chip_rows", tuple(str(2 * one + 3) for one in range(rows))),
        Axis("dataflow", ("",)),
        Axis("format", ("int8",)),
        Axis("weight_density", tuple((one + 1) / densities for one in range(densities))),
        Axis("input_density", (None,)),
    )
    return Space((Block("resnet", "systolic", (("depth", "50"),), (), axes),), ("latency",))


def rows(ordinals: Ordinals, layers: bool = True) -> Rows:
    """Return rows of numbers that follow from the ordinals alone; some points fail."""
    failed = ordinals % FAILED == 0
    points = {name: _numbers(name, ordinals, failed) for name in METRICS}
    errors = {int(one): f"point {one}, which is a multiple of 13" for one in ordinals[failed]}
    return Rows(ordinals, points, errors, _layers(ordinals[~failed]) if layers else None)


def _numbers(name: str, ordinals: Ordinals, failed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> np.ndarray:
    if name not in WHOLE:
        return np.where(failed | (name == "area_mm2"), np.nan, (ordinals + len(name)) / 7)
    found = ((ordinals + 1) * 2**33 + len(name)).astype(object)
    found[failed] = None
    return found


def _layers(ordinals: Ordinals) -> Columns:
    of, index = np.repeat(ordinals, len(LAYER_NAMES)), np.tile(np.arange(len(LAYER_NAMES)), len(ordinals))
    texts = {"layer": np.array(LAYER_NAMES, object)[index], "kind": np.full(len(of), "conv", object)}
    texts["format"] = np.full(len(of), "int8", object)
    numbers = {name: of + index if name in WHOLE else (of + index) / 11 for name in LAYERS if name not in texts}
    return {"ordinal": of, "layer_index": index, **texts, **numbers}


def slices(one: Space, order: int = 1) -> Iterator[tuple[str, Ordinals]]:
    """Yield the slices of a space with their names, backwards for an `order` of -1."""
    for start in list(range(0, one.size, SIZE))[::order]:
        yield f"{one.digest}:{start}", np.arange(start, min(start + SIZE, one.size), dtype=np.int64)


def commit(study: Study, one: Space, ordinals: Ordinals, slice_: str | None = None, layers: bool = True) -> int:
    """Commit points of a space; return how many were new."""
    return study.commit(one, rows(ordinals, layers), one.keys(ordinals), slice_)


def filled(path: Path, one: Space | None = None, order: int = 1) -> Path:
    """Return the path of a study with all points of a space."""
    one = one or space()
    with Study.open(path, create=True) as study:
        study.add_space(one)
        for name, ordinals in slices(one, order):
            commit(study, one, ordinals, name)
    return path


def ask(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Return what the last of some statements gives, as another program would ask."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        return [other.execute(one).fetchall() for one in statements][-1]
    finally:
        other.close()


def process(*words: object) -> subprocess.Popen[str]:
    """Start a process of this file."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _write(path: Path, order: int) -> None:
    """Commit all slices that are free and not done; say where each starts, and how many points were new."""
    one = space(53)
    with Study.open(path, create=True) as study:
        study.add_space(one)
        print("open", flush=True)
        for name, ordinals in slices(one, order):
            if study.claim(name) and not study.known(one.keys(ordinals)).all():
                print(ordinals[0], commit(study, one, ordinals, name), flush=True)


def _race(path: Path, order: int) -> None:
    """Commit all slices, whoever else does, once another process is ready too; say how many points were new."""
    one = space(53)
    path.with_suffix(f".{order}").touch()
    while not path.with_suffix(f".{-order}").exists():
        pass
    with Study.open(path, create=True) as study:
        study.add_space(one)
        print(sum(commit(study, one, ordinals) for _, ordinals in slices(one, order)))


def _until_it_fails(path: Path, limit: int = 0) -> None:
    """Commit until that fails, for want of room or of more than `limit` bytes per file; say how, and what is there."""
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    one, done = space(53), 0
    try:
        with Study.open(path, create=True) as study:
            study.add_space(one)
            for name, ordinals in slices(one):
                done += commit(study, one, ordinals, name)
    except HwsimError as error:
        print(done, error.exit_code, error)
    _look(path)


def _look(path: Path) -> None:
    """Say how many points a study has, and what checks say of it."""
    try:
        with Study.open(path, create=False, readonly=True) as study:
            print(study.counts()[0], *study._db.execute("PRAGMA integrity_check").fetchone(), len(study.frame()))
    except HwsimError as error:
        print(error.exit_code, error)


def _go_on(path: Path) -> None:
    """Say what is refused of a study that is opened to be written, or of a new one."""
    try:
        with Study.open(path, create=True):
            print("opened")
    except HwsimError as error:
        print(error.exit_code, error)


if __name__ == "__main__":
    verb, file, *others = sys.argv[1:]
    verbs: dict[str, Callable[..., None]] = {
        "write": _write,
        "race": _race,
        "fail": _until_it_fails,
        "look": _look,
        "go_on": _go_on,
    }
    verbs[verb](Path(file), *map(int, others))

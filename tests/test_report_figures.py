"""Figures of a page: those of a folder only if they are of its rows, as PNG where SVG would be too long."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from report_pages import folder

mpl.use("agg")

from hwsim.results import page_figures, store
from hwsim.results.frame import read_frame
from hwsim.results.origin import KEY, origin


def drawn_before(run: Path, mark: str) -> None:
    """Put pictures into a result folder that say what they are drawn from."""
    from matplotlib.figure import Figure

    for kind in ("png", "svg"):
        (run / store.FIGURES).mkdir(exist_ok=True)
        Figure((1, 1)).savefig(run / store.FIGURES / f"matrix_unit.{kind}", metadata={KEY: mark})


def test_a_picture_of_the_folder_is_taken_only_if_it_is_of_the_same_rows(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", chips=("tpu_v1",))
    frame = read_frame(run)
    mark = origin("matrix_unit", frame)
    drawn_before(run, mark)
    taken, _ = page_figures.pictures(frame, ["matrix_unit"], run / store.FIGURES)
    assert taken[0].width == 64  # an inch of 100 pixels, as Figure draws them, is taken for one of 150
    drawn_before(run, origin("matrix_unit", frame.assign(seconds=frame["seconds"] * 2)))
    drawn, _ = page_figures.pictures(frame, ["matrix_unit"], run / store.FIGURES)
    assert drawn[0].width > 300


def test_what_a_picture_depends_on_is_its_rows_and_its_report(tmp_path: Path) -> None:
    run = folder(tmp_path)
    frame = read_frame(run)
    renamed = frame.rename(columns={"macs": "m"})
    marks = [origin("layers", one) for one in (frame, frame.copy(), read_frame(run), frame[1:], renamed)]
    marks.append(origin("matrix_unit", frame))
    assert marks[0] == marks[1] == marks[2]
    assert len(set(marks)) == 4


def test_pictures_above_the_budget_are_png_where_that_saves_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_figures, "BUDGET_BYTES", 100)
    sizes = {"a": (50, 60), "b": (10, 70), "c": (90, 20)}  # PNG, SVG: 60 + 70 + 20 = 150; with b as PNG it is 90
    drawn = [page_figures.Drawn(name, b"p" * png, b"s" * svg) for name, (png, svg) in sizes.items()]
    assert page_figures.kinds(drawn) == ["svg", "png", "svg"]


def test_outlines_have_two_decimals_and_glyphs_keep_their_scale() -> None:
    svg = b'<path id="A" d="M 1.23456 -0.5 L 10.009 2" transform="scale(0.015625)"/>'
    assert page_figures._shorter(svg) == b'<path id="A" d="M 1.23 -0.5 L 10.00 2" transform="scale(0.015625)"/>'

"""The reports of a study: what stands on a front, where lines cross, what is left out and said, and how fast."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from hwsim import catalog
from hwsim.errors import InputError
from hwsim.results import store


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


REPORTS = ("pareto", "precision_sweep", "sparsity_sweep")


def study(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return points as a study has them: seconds, joules and what each row states."""
    whole = [
        {
            "network": "mlp", "dataflow": "", "format": "int8", "weight_density": 1.0, "input_density": None,
            "energy_pj": row["joules"] * 1e12, "edp_js": row["seconds"] * row["joules"], "area_mm2": None,
            "inferences_per_s": 1 / row["seconds"], "error": None, **row,
        }
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(whole)


def simulated() -> pd.DataFrame:
    """Return what EIE and an array of 5 x 7 give for one network in their formats, some points failed."""
    import hwsim

    rows: list[dict[str, Any]] = []
    for chip, formats in {"eie:pes=4": ("codebook4",), "systolic:cols=7,rows=5": ("int8", "fp16", "fp32")}.items():
        for fmt in formats:
            for density in (0.1, 0.3, 1.0):
                net = catalog.network("mlp").with_density(weight=density)
                total = hwsim.simulate(net, on=chip, format=fmt).total
                seconds, joules = total["seconds"], total["energy_pj"] * 1e-12
                rows.append(
                    {"chip": chip, "format": fmt, "weight_density": density, "seconds": seconds, "joules": joules}
                )
    rows.append({"chip": "eie:pes=4", "format": "int8", "seconds": math.nan, "joules": math.nan, "error": "no int8"})
    return study(rows)


def texts(figure: Figure) -> str:
    return "\n".join(one.get_text() for one in figure.findobj(Text) if isinstance(one, Text))


def many(count: int) -> pd.DataFrame:
    """Return `count` points of three networks and 24 chips."""
    random = np.random.default_rng(7)
    seconds, joules = random.lognormal(-7, 1, count), random.lognormal(-3, 1, count)
    chips = [f"{name}:rows={rows}" for name in ("eie", "gpu", "systolic") for rows in range(8)]
    frame = study([{"chip": "", "seconds": 1.0, "joules": 1.0}]).loc[np.zeros(count, int)].reset_index(drop=True)
    return frame.assign(
        seconds=seconds, energy_pj=joules * 1e12, edp_js=seconds * joules, chip=random.choice(chips, count),
        network=random.choice(["mlp", "vgg", "vit"], count), format=random.choice(["fp16", "int8"], count),
        weight_density=random.choice([0.1, 0.5, 1], count),
    )  # fmt: skip


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_is_the_same_bytes_every_time(report: str, tmp_path: Path) -> None:
    frame = simulated()
    first, second = (store.draw(report, frame, tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert [path.suffix for path in first] == [".png", ".svg"]


@pytest.mark.parametrize("report", REPORTS)
def test_no_text_of_a_report_lies_outside_its_picture(report: str) -> None:
    figure = catalog.report(report)(simulated())
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert -0.01 <= drawn.x0 < drawn.x1 <= width + 0.01
    assert -0.01 <= drawn.y0 < drawn.y1 <= height + 0.01


@pytest.mark.parametrize("report", REPORTS)
def test_a_run_does_not_draw_what_is_of_studies(report: str, tmp_path: Path) -> None:
    import hwsim

    drawn = store.write([hwsim.simulate("mlp", on="systolic")], tmp_path, [report], 0.0)
    assert drawn == []


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_says_how_many_points_failed(report: str) -> None:
    assert "1 of 13 points failed and are not drawn" in texts(catalog.report(report)(simulated()))


@pytest.mark.parametrize("report", REPORTS)
def test_a_study_whose_points_all_failed_is_refused_in_a_sentence(report: str) -> None:
    with pytest.raises(InputError, match=f"report '{report}' has nothing to draw: of 1 points 0 can be drawn"):
        catalog.report(report)(study([{"chip": "eie", "seconds": math.nan, "joules": math.nan}]))


@pytest.mark.parametrize(("report", "option"), [("precision_sweep", "format"), ("sparsity_sweep", "density")])
def test_a_study_without_the_axis_is_refused_in_a_sentence(report: str, option: str) -> None:
    with pytest.raises(InputError, match=f"sweep them with --{option}|sweep --{option}"):
        catalog.report(report)(study([{"chip": "eie", "seconds": 1.0, "joules": 1.0}]))


FRONT = [(1.0, 7.0), (2.0, 5.0), (2.0, 6.0), (3.0, 5.0), (5.0, 2.0), (7.0, 3.0)]


def test_the_front_steps_through_the_points_that_no_other_beats() -> None:
    frame = study([{"chip": "eie", "seconds": seconds, "joules": joules} for seconds, joules in FRONT])
    (axes,) = catalog.report("pareto")(frame).axes
    (line,) = axes.lines
    assert np.asarray(line.get_xydata()).tolist() == [[1, 7], [2, 5], [5, 2]]


def test_the_axes_are_the_studys_first_objectives_and_more_is_better_where_it_is() -> None:
    frame = study([{"chip": "eie", "seconds": seconds, "joules": joules} for seconds, joules in FRONT])
    frame.attrs["objectives"] = ("area", "throughput", "energy")  # no chip here has an area
    (axes,) = catalog.report("pareto")(frame).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("inferences per second", "energy")
    assert sorted(np.asarray(axes.lines[0].get_xydata()).tolist()) == [[1 / 5, 2], [1 / 2, 5], [1, 7]]
    assert "highest inferences per second" in texts(axes.figure)  # type: ignore[arg-type]


def test_of_equal_points_the_densest_is_named() -> None:
    rows = [{"chip": "gpu", "seconds": 1.0, "joules": 1.0, "weight_density": one} for one in (0.1, 1.0, 0.5)]
    assert "lowest latency, lowest energy: gpu, int8, weights 100\N{NO-BREAK SPACE}%" in texts(
        catalog.report("pareto")(study(rows))
    )


def test_each_network_has_a_front_of_its_own_and_more_than_four_are_said() -> None:
    rows = [{"chip": "eie", "network": f"mlp:batch={one}", "seconds": one, "joules": one} for one in (2, 3, 5, 7, 11)]
    figure = catalog.report("pareto")(study(rows))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"mlp:batch={one}" for one in (2, 3, 5, 7)]
    assert "4 of 5 networks are drawn" in texts(figure)


def test_formats_stand_from_the_widest_on_and_a_mix_by_that_of_most_layers() -> None:
    formats = ("int8", "int8,conv1=fp16", "fp32", "int4", "fp16", "")
    figure = catalog.report("precision_sweep")(
        study([{"chip": "gpu", "format": fmt, "seconds": 1.0, "joules": 1.0} for fmt in formats])
    )
    labels = [one.get_text() for one in figure.axes[0].get_xticklabels()]
    assert labels == ["fp32", "fp16", "int8", "int8\nconv1=fp16", "int4", "chip's\nown"]


def test_a_cross_stands_where_the_sparse_chip_overtakes_the_dense_one() -> None:
    # straight in logarithms: 2 s at a quarter of the weights, 8 s at all of them is 2 x (density / 0.25), 4 s at half
    rows = [
        {"chip": chip, "weight_density": density, "seconds": seconds, "joules": 1.0}
        for chip, values in {"eie": (2.0, 8.0), "gpu": (4.0, 4.0)}.items()
        for density, seconds in zip((0.25, 1.0), values, strict=True)
    ]
    figure = catalog.report("sparsity_sweep")(study(rows))
    latency, energy = figure.axes
    crosses = [line for line in latency.lines if line.get_marker() == "x"]
    np.testing.assert_allclose(np.asarray(crosses[0].get_xydata()), [[0.5, 4]])
    assert len(crosses) == 1
    assert not [line for line in energy.lines if line.get_marker() == "x"]
    assert "eie below gpu from 50 % down" in texts(figure)


def test_the_lowest_stands_for_points_that_differ_in_other_ways() -> None:
    rows = [
        {"chip": "gpu", "format": fmt, "dataflow": flow, "seconds": seconds, "joules": 1.0}
        for fmt, seconds in (("fp16", 3.0), ("int8", 2.0))
        for flow, seconds in (("thread_blocks", seconds), ("other", 5 * seconds))
    ]
    figure = catalog.report("precision_sweep")(study(rows))
    assert np.asarray(figure.axes[0].lines[0].get_ydata()).tolist() == [3, 2]
    assert "of points that differ in other ways the lowest is drawn" in texts(figure)


def test_of_many_points_behind_the_front_some_thousands_are_drawn_and_it_is_said() -> None:
    figure = catalog.report("pareto")(many(20_000))
    drawn = sum(np.shape(one.get_offsets())[0] for axes in figure.axes for one in axes.collections)
    left = next(int(line.split()[6]) for line in texts(figure).splitlines() if "behind the fronts" in line)
    assert 2_500 < drawn < 3_500
    assert drawn + left == 20_000


@pytest.mark.slow
@pytest.mark.parametrize("report", REPORTS)
def test_a_hundred_thousand_points_are_drawn_in_three_seconds(report: str, tmp_path: Path) -> None:
    frame = many(100_000)
    store.draw(report, frame.head(100), tmp_path)  # fonts and modules are loaded once in a process
    started = time.process_time()
    store.draw(report, frame, tmp_path)
    assert time.process_time() - started < 3

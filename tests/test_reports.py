"""Figures: bars add up to the rows they are drawn from, panels compare, every axis says what it shows."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pandas as pd
import pytest

import hwsim
from hwsim import catalog

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

SMALL, LARGE = "systolic:rows=64,cols=64", "systolic:rows=4,cols=4"
"""Few cycles, then many: the second run's bars must not be cut at the first's scale."""


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def frame(network: str, *chips: str) -> pd.DataFrame:
    """Return the rows of `network` on each chip, one run after the other."""
    return pd.concat([hwsim.simulate(network, on=chip).frame for chip in chips], ignore_index=True)


def widths(axes: Axes) -> float:
    """Return what all bars of a panel add up to."""
    bars = [bar for container in axes.containers if isinstance(container, BarContainer) for bar in container]
    return float(sum(bar.get_width() for bar in bars))


def drawn(rows: pd.DataFrame, report: str = "layers") -> Figure:
    figure = catalog.report(report)(rows)
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("report", catalog.names("report"))
def test_every_report_draws_a_result_and_labels_its_axes(report: str) -> None:
    axes = drawn(frame("mlp", SMALL), report).axes
    assert axes
    assert all(panel.get_xlabel() or panel.get_ylabel() for panel in axes)


def test_bars_add_up_to_the_cycles_and_energy_of_the_layers_drawn() -> None:
    rows = frame("mlp", SMALL)
    cycles, energy = drawn(rows).axes
    taking = rows[rows["total_cycles"] > 0]
    assert widths(cycles) == taking["total_cycles"].sum()
    assert widths(energy) == pytest.approx(taking["energy_pj"].sum() * 1e-12)


def test_runs_share_a_scale_that_holds_the_longest_bar() -> None:
    rows = frame("mlp", SMALL, LARGE)
    first_cycles, _, last_cycles, _ = drawn(rows).axes
    assert first_cycles.get_xlim() == last_cycles.get_xlim()
    left, right = last_cycles.get_xlim()
    assert left == 0
    assert right >= rows["total_cycles"].max()


def test_layers_beyond_forty_are_left_out_and_their_share_is_said() -> None:
    rows = frame("resnet:depth=50", SMALL)
    panel = drawn(rows).axes[0]
    longest = rows["total_cycles"].nlargest(40).sum()
    assert len(panel.get_yticks()) == 40
    said = f"not drawn: {len(rows) - 40} shorter layers, {1 - longest / rows['total_cycles'].sum():.1%} of cycles"
    assert any(text.get_text().startswith(said) for text in panel.texts)


def test_a_name_is_drawn_as_it_stands() -> None:
    rows = frame("mlp", SMALL)
    rows["network"] = "$x_{1}$"
    rows.loc[rows["layer"] == rows["layer"].iloc[0], "layer"] = "$y^2$"
    assert "$x_{1}$" in drawn(rows).axes[0].get_title(loc="left")

"""Figures: bars add up to the rows they are drawn from, panels compare, every axis says what it shows."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
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


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def headings(figure: Figure) -> tuple[str, str]:
    """Return what stands above all panels, and below."""
    return figure.get_suptitle(), figure.get_supxlabel()


def predictions() -> pd.DataFrame:
    """Return three layers measured, and predicted twice; one of them takes no time in the datasheet's eyes."""
    return pd.DataFrame(
        {
            "network": "tiny",
            "chip": "cpu:host",
            "operator": ["conv", "matmul", "reshape"],
            "measured_seconds": [1e-3, 2e-4, 5e-6],
            "datasheet_seconds": [5e-4, 1e-4, 0.0],
            "calibrated_seconds": [1.1e-3, 1.8e-4, 4e-6],
            "repeated_seconds": [1e-3, 2.1e-4, 5e-6],
            "fitted_on": [False, False, True],
        }
    )


OF_OTHER_TABLES = {"measured_seconds", "accuracy", "edp_js", "machine"}
"""Columns of predictions, of accuracies, of a study's points and of the scoreboard: what needs them draws no layers."""

OF_LAYERS = [name for name in catalog.names("report") if not OF_OTHER_TABLES & {*catalog.report_needs(name)}]


@pytest.mark.parametrize("report", OF_LAYERS)
def test_every_report_draws_a_result_and_labels_its_axes(report: str) -> None:
    runs = (frame("mlp", chip) for chip in catalog.names("chip"))
    axes = drawn(next(rows for rows in runs if set(catalog.report_needs(report)) <= set(rows)), report).axes
    assert axes
    assert all(panel.get_xlabel() or panel.get_ylabel() for panel in axes)


def test_bars_add_up_to_the_cycles_and_energy_of_the_layers_drawn() -> None:
    rows = frame("mlp", SMALL)
    cycles, energy = drawn(rows).axes
    taking = rows[rows["total_cycles"] > 0]
    assert widths(cycles) == taking["total_cycles"].sum()
    assert widths(energy) == pytest.approx(taking["energy_pj"].sum() * 1e-12)


def measurement(energy_j: float) -> pd.DataFrame:
    """Return layers as `hwsim measure` writes them: one takes no time of its own, and no cycles are known."""
    seconds = np.array([3e-3, 0.0, 5e-3])
    return pd.DataFrame(
        {
            "network": "tiny", "layer": ["conv", "relu", "fc"], "chip": "some GPU", "dataflow": "torch",
            "format": "fp32", "batch": 1, "macs": [221, 0, 17],
            "fill_cycles": 0, "compute_cycles": 0, "stall_cycles": 0, "drain_cycles": 0,
            "total_cycles": 0, "seconds": seconds, "energy_pj": seconds / 8e-3 * energy_j * 1e12,
            "seconds_first_half": seconds,
        }
    )  # fmt: skip


def test_a_measurement_is_drawn_in_time_and_without_energy_has_no_panel_of_it() -> None:
    figure = drawn(measurement(0.0))
    (time,) = figure.axes
    assert widths(time) == pytest.approx(8e-3)
    assert time.get_xlabel() == "time"
    assert legend_of(time) == ["measured"]
    assert time.get_title("left") == "some GPU"
    assert time.get_title("right") == "8 ms"
    # one of the layers takes no time, which is nothing that is not drawn
    assert headings(figure) == ("tiny, batch 1, fp32", "")


def test_measured_energy_is_drawn_whole_and_beside_a_simulation_both_are_in_seconds() -> None:
    simulated = frame("mlp", SMALL)
    time, energy, simulated_time, _ = drawn(pd.concat([measurement(2.0), simulated], ignore_index=True)).axes
    assert widths(energy) == pytest.approx(2.0)
    assert (time.get_xlabel(), simulated_time.get_xlabel()) == ("time", "time")
    assert widths(simulated_time) == pytest.approx(simulated["seconds"].sum())


def test_shares_of_the_matrix_unit_stand_beside_those_measured() -> None:
    network, chip = "tpu_apps:app=MLP0", "tpu_v1"
    (axes,) = drawn(frame(network, chip), "matrix_unit").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "MLP0 on tpu_v1, batch\n200, int8, simulated",
        "measured, Jouppi et\nal. 2017",
    ]
    # each of the two bars is all cycles; the paper's parts add up to 100.1 %
    assert widths(axes) == pytest.approx(2, abs=2e-3)
    total = hwsim.simulate(network, on=chip).total
    said = [text.get_text() for text in axes.texts]
    assert f"wait for weights {total['weight_stall_fraction']:.1%}" in said
    assert "wait for weights 53.9%" in said
    # simulated and published parts stand in one order
    bars = [bar for container in axes.containers if isinstance(container, BarContainer) for bar in container]
    looks = [[bar.get_facecolor() for bar in bars if round(bar.get_y()) == place] for place in (0, 1)]
    assert [look for look in looks[0] if look in looks[1]] == looks[1]


def test_a_machine_without_a_paper_stands_alone() -> None:
    (axes,) = drawn(frame("mlp", "tpu_v1:rows=64", "systolic"), "matrix_unit").axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["mlp-784-300-100-10 on\ntpu_v1:rows=64, batch\n1, int8, simulated"]
    assert widths(axes) == pytest.approx(1)


def test_runs_share_a_scale_that_holds_the_longest_bar() -> None:
    rows = frame("mlp", SMALL, "systolic:rows=16,cols=16")
    first_cycles, _, last_cycles, _ = drawn(rows).axes
    assert first_cycles.get_xlim() == last_cycles.get_xlim()
    left, right = last_cycles.get_xlim()
    assert left == 0
    assert right >= rows["total_cycles"].max()


def test_runs_whose_scales_differ_by_more_than_a_decade_have_axes_of_their_own_and_it_is_said() -> None:
    rows = frame("mlp", "systolic:rows=256,cols=256", "systolic:rows=2,cols=2")
    figure = drawn(rows)
    cycles = [panel for panel in figure.axes if panel.get_xlabel() == "cycles"]
    longest = [run["total_cycles"].max() for _, run in rows.groupby("chip", sort=False)]
    assert max(longest) > 10 * min(longest)
    assert [panel.get_xlim()[1] for panel in cycles] == pytest.approx([1.05 * most for most in longest])
    assert headings(figure)[1].startswith("Runs have axes of their own")


def test_layers_beyond_forty_are_left_out_and_their_share_is_said() -> None:
    rows = frame("resnet:depth=50", SMALL)
    figure = drawn(rows)
    panel = figure.axes[0]
    longest = rows["total_cycles"].nlargest(40).sum()
    assert len(panel.get_yticks()) == 40
    others = int((rows["total_cycles"] > 0).sum() + (rows["energy_pj"][rows["total_cycles"] == 0] > 0).sum()) - 40
    said = f"Not drawn: {others} shorter layers, {1 - longest / rows['total_cycles'].sum():.1%} of cycles"
    assert headings(figure)[1].replace("\n", " ").startswith(said)


def test_a_name_is_drawn_as_it_stands() -> None:
    rows = frame("mlp", SMALL)
    rows["network"] = "$x_{1}$"
    rows.loc[rows["layer"] == rows["layer"].iloc[0], "layer"] = "$y^2$"
    assert "$x_{1}$" in headings(drawn(rows))[0]


def test_components_beyond_the_colours_are_drawn_together() -> None:
    rows = frame("mlp", SMALL)
    for number in range(9):
        rows[f"energy_part{number}_pj"] = rows["energy_pj"].mean() * (number + 1)
    _, energy = drawn(rows).axes
    labels = legend_of(energy)
    assert (len(labels), labels[0], labels[-1]) == (8, "part8", "others")
    parts = [name for name in rows if str(name).startswith("energy_") and name != "energy_pj"]
    taking = rows[rows["total_cycles"] > 0]
    assert widths(energy) == pytest.approx(taking[parts].to_numpy().sum() * 1e-12)


def test_runs_of_different_clocks_are_drawn_in_time() -> None:
    rows = frame("mlp", SMALL, "systolic:rows=64,cols=64,clock_mhz=250")
    first, _, second, _ = drawn(rows).axes
    assert first.get_xlabel() == second.get_xlabel() == "time"
    taking = rows[rows["total_cycles"] > 0]
    assert widths(first) + widths(second) == pytest.approx(taking["seconds"].sum())


def test_points_lie_where_they_were_measured_and_predicted_whatever_panel_lacks_them() -> None:
    datasheet, calibrated, repeated, _ = drawn(predictions(), "predicted").axes
    assert [len(panel.collections) for panel in (datasheet, calibrated, repeated)] == [2, 3, 3]
    places = {str(dots.get_label()): dots.get_offsets() for dots in calibrated.collections}
    assert places["conv"].tolist() == [[1e-3, 1.1e-3]]  # type: ignore[union-attr]
    for one, other in zip(datasheet.collections, calibrated.collections, strict=False):
        assert np.array_equal(one.get_facecolor(), other.get_facecolor())


def test_errors_of_what_was_not_fitted_on_stand_above_the_points() -> None:
    datasheet, calibrated, _, _ = drawn(predictions(), "predicted").axes
    # |1.1/1 - 1| and |1.8/2 - 1|; the third was fitted on
    assert calibrated.get_title("left").endswith("mean error 10.0 %, median 10.0 %\n2 layers")
    assert datasheet.get_title("left").endswith("mean error 50.0 %, median 50.0 %\n2 layers, 1 of no time not drawn")

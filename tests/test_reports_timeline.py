"""Traffic, occupancy and timeline: marks lie at the bytes, areas are MACs done, blocks are seconds, names fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import hwsim
from hwsim import catalog
from hwsim.errors import InputError

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

REPORTS = ("traffic", "occupancy", "timeline")
SYSTOLIC = "systolic:rows=13,cols=11"


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def drawn(rows: pd.DataFrame, report: str) -> Figure:
    figure = catalog.report(report)(rows)
    figure.canvas.draw()
    return figure


def frame(network: str, *chips: str) -> pd.DataFrame:
    """Return the rows of `network` on each chip, one run after the other."""
    return pd.concat([hwsim.simulate(network, on=chip).frame for chip in chips], ignore_index=True)


def made(layers: int = 2, **columns: Any) -> pd.DataFrame:
    """Return layers of 100 cycles of 1 us, all on one chip of 1 MAC per cycle, with other columns as given."""
    rows = pd.DataFrame(
        {
            "network": "tiny", "layer": [f"layer{place}" for place in range(layers)], "kind": "conv", "chip": "made",
            "dataflow": "by_hand", "format": "int8", "batch": 1, "macs": 50, "fill_cycles": 10, "compute_cycles": 60,
            "stall_cycles": 20, "drain_cycles": 10, "total_cycles": 100, "seconds": 1e-4, "utilisation": 0.3,
            "peak_macs_per_s": 1e6, "off_chip_level": "dram", "dram_read_bytes": 0, "dram_write_bytes": 0,
        }
    )  # fmt: skip
    return rows.assign(**columns)


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as `hwsim measure` writes them: cycles are seconds times the clock, and no roof is known."""
    known = rows.drop(columns=["peak_macs_per_s", "off_chip_level", "dram_read_bytes", "dram_write_bytes"])
    cycles = dict.fromkeys(("fill_cycles", "stall_cycles", "drain_cycles"), 0)
    return known.assign(**cycles, compute_cycles=100, utilisation=np.nan, seconds_first_half=known["seconds"])


def bars(axes: Axes) -> list[list[tuple[float, float]]]:
    """Return width and height of the bars of each container, in the order drawn."""
    found = [one for one in axes.containers if isinstance(one, BarContainer)]
    return [[(bar.get_width(), bar.get_height()) for bar in one] for one in found]


def spans(axes: Axes) -> list[tuple[float, float]]:
    """Return start and end of all blocks of a timeline."""
    paths = [path for one in axes.collections if isinstance(one, PolyCollection) for path in one.get_paths()]
    return [(float(path.vertices[:, 0].min()), float(path.vertices[:, 0].max())) for path in paths]  # type: ignore[index,union-attr]


def labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def written(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_dots_and_rings_lie_at_the_bytes_of_their_level() -> None:
    rows = made(
        dram_read_bytes=[1_000, 0], dram_write_bytes=[10, 0], glb_read_bytes=[10**6, 10**5], glb_write_bytes=[10, 0]
    )
    (axes,) = drawn(rows, "traffic").axes
    read, write = (one.get_offsets() for one in axes.collections if isinstance(one, PathCollection))
    # 10 B to 1 MB are 5 decades over 0.82 of a level; off-chip memory is the last level; nothing has no place
    expected = [0.09 + 0.82, 1.09 + 0.82 * 2 / 5, 0.09 + 0.82 * 4 / 5, np.nan]
    assert np.ma.filled(np.ma.asarray(read)[:, 0], np.nan) == pytest.approx(expected, nan_ok=True)
    assert np.ma.filled(np.ma.asarray(write)[:, 0], np.nan) == pytest.approx([0.09, 1.09, np.nan, np.nan], nan_ok=True)
    assert written(axes) == ["glb\n● 1.1 MB\n○ 10 B", "DRAM\n● 1 kB\n○ 10 B"]


def test_levels_and_layers_that_move_nothing_are_left_out_of_the_traffic() -> None:
    rows = made(3, dram_read_bytes=[7, 0, 11], spad_read_bytes=0, spad_write_bytes=0)
    (axes,) = drawn(rows, "traffic").axes
    assert labels(axes) == ["layer0", "layer2"]
    assert written(axes) == ["DRAM\n● 18 B\n○ 0 B"]


def test_of_many_layers_those_that_move_most_are_drawn_and_their_share_is_said() -> None:
    rows = made(43, dram_read_bytes=[1, 2, 3, *[100] * 40])
    (axes,) = drawn(rows, "traffic").axes
    assert labels(axes) == [f"layer{place}" for place in range(3, 43)]
    assert axes.get_title("right") == f"40 of 43 layers, {4000 / 4006:.1%} of bytes"


def test_a_level_on_a_chip_that_is_written_and_never_read_is_one_whose_reads_are_not_counted() -> None:
    said = written(drawn(frame("mlp", "gpu:h100"), "traffic").axes[0])
    assert any(text.startswith("shared\nmemory\n● not counted") for text in said)
    # nothing is written off the chip by a TPU, and that is counted
    said = written(drawn(frame("mlp", "tpu_v1"), "traffic").axes[0])
    assert any(text.startswith("DRAM") and text.endswith("○ 0 B") for text in said)


def test_sums_above_a_level_are_those_of_the_result() -> None:
    rows = frame("mlp", SYSTOLIC)
    (axes,) = drawn(rows, "traffic").axes
    read, wrote = (rows[f"dram_{action}_bytes"].sum() for action in ("read", "write"))
    assert written(axes)[-1] == f"DRAM\n● {read / 1e3:.3g} kB\n○ {wrote:.3g} B"


def test_dark_area_is_the_utilisation_of_the_whole_result() -> None:
    result = hwsim.simulate("mlp", on=SYSTOLIC)
    (axes,) = drawn(result.frame, "occupancy").axes
    filled, useful = bars(axes)
    assert sum(width for width, _ in useful) == pytest.approx(1)
    assert sum(width * height for width, height in useful) == pytest.approx(result.total["utilisation"])
    assert all(high >= low for (_, high), (_, low) in zip(filled, useful, strict=True))
    assert axes.get_title("right").startswith(f"{100 * result.total['utilisation']:.2g}")


def test_hatched_is_the_part_of_the_array_that_has_work_while_it_computes() -> None:
    (axes,) = drawn(made(), "occupancy").axes
    # 30 % over all of 100 cycles were done in the 60 that compute
    assert [height for _, height in bars(axes)[0]] == pytest.approx([0.3 * 100 / 60] * 2)


def test_hatched_is_the_part_of_the_array_with_active_pes_where_rows_tell() -> None:
    (axes,) = drawn(made(active_pes=[154.0, np.nan], pe_rows=12.0, pe_cols=14.0), "occupancy").axes
    assert [height for _, height in bars(axes)[0]] == pytest.approx([154 / 168, 0.3 * 100 / 60])


def test_an_array_hardly_used_is_drawn_on_an_enlarged_scale_that_all_chips_share() -> None:
    low = made(utilisation=0.006)
    figure = drawn(low, "occupancy")
    # 0.6 % / 0.6 = 1 % of the array has work
    assert figure.axes[0].get_ylim() == (0, 0.01)
    assert figure.get_supxlabel() == "Heights end at 1 % of the MAC units."
    both = drawn(pd.concat([low, made(chip="other")], ignore_index=True), "occupancy").axes
    assert [axes.get_ylim() for axes in both] == [(0, 0.5)] * 2


def test_layers_and_causes_fill_the_time_of_a_run_once_each() -> None:
    rows = frame("mlp", SYSTOLIC)
    (axes,) = drawn(rows, "timeline").axes
    total = rows["seconds"].sum()
    assert sum(end - start for start, end in spans(axes)) == pytest.approx(2 * total)
    assert max(end for _, end in spans(axes)) == pytest.approx(total)


def test_rows_of_a_timeline_say_their_share_of_time() -> None:
    (axes,) = drawn(made(2, macs=[50, 0], seconds=[3e-4, 1e-4]), "timeline").axes
    causes = ["fill  10 %", "compute  60 %", "wait for data  20 %", "drain  10 %"]
    assert labels(axes) == ["with MACs  75 %", "other layers  25 %", *causes]
    # causes of the first layer start at 0, 10 %, 70 % and 90 % of its 300 us
    starts = {round(start * 1e6) for start, _ in spans(axes)}
    assert {0, 30, 210, 270} <= starts


def test_measured_layers_have_no_causes_and_no_occupancy() -> None:
    rows = measured(made())
    (axes,) = drawn(rows, "timeline").axes
    assert labels(axes) == ["layers  100 %"]
    for report in ("traffic", "occupancy"):
        assert not set(catalog.report_needs(report)) <= set(rows)
        with pytest.raises(InputError, match=f"report '{report}' has nothing to draw"):
            catalog.report(report)(pd.concat([rows, made(0)]))


def test_of_a_measurement_beside_a_simulation_only_the_latter_has_occupancy_and_traffic() -> None:
    rows = pd.concat([measured(made(chip="host")), made(dram_read_bytes=17)], ignore_index=True)
    for report in ("traffic", "occupancy"):
        assert [axes.get_title("left") for axes in drawn(rows, report).axes] == ["made"]
    assert [axes.get_title("right") for axes in drawn(rows, "timeline").axes] == ["200 µs, measured", "200 µs"]


def test_runs_share_a_time_axis_only_where_the_shorter_can_be_seen() -> None:
    near = drawn(pd.concat([made(), made(chip="b", seconds=2e-4)], ignore_index=True), "timeline")
    far = drawn(pd.concat([made(), made(chip="b", seconds=1e-2)], ignore_index=True), "timeline")
    assert [axes.get_xlim()[1] for axes in near.axes] == pytest.approx([4e-4, 4e-4])
    assert [axes.get_xlim()[1] for axes in far.axes] == pytest.approx([2e-4, 2e-2])
    assert far.get_supxlabel().startswith("Each run has a time axis of its own.")


def test_thousands_of_layers_too_short_to_be_seen_are_joined_and_take_the_same_time() -> None:
    rows = made(5003)
    (axes,) = drawn(rows, "timeline").axes
    assert len(spans(axes)) < 5 * 1010
    assert sum(end - start for start, end in spans(axes)) == pytest.approx(2 * rows["seconds"].sum())


def test_runs_beyond_a_dozen_are_left_out_and_said() -> None:
    rows = pd.concat([made(1, chip=f"c{number}", dram_read_bytes=7) for number in range(13)], ignore_index=True)
    for report in REPORTS:
        figure = catalog.report(report)(rows)
        assert len(figure.axes) == 12
        assert figure.get_supxlabel().replace("\n", " ").endswith("12 of 13 runs are drawn.")


@pytest.mark.parametrize("report", REPORTS)
def test_a_name_of_markup_is_drawn_as_it_stands(report: str) -> None:
    rows = made(1, layer="$x^{1}$", network="$n$", chip="<b>$c", dram_read_bytes=7)
    (axes,) = drawn(rows, report).axes
    assert axes.get_title("left") == "<b>$c"
    assert any(text.startswith("$x^{1}$") for text in (*written(axes), *labels(axes)))


@pytest.mark.parametrize("report", REPORTS)
def test_a_run_without_time_and_bytes_is_drawn_empty(report: str) -> None:
    nothing = dict.fromkeys(("seconds", "utilisation", "macs", "total_cycles", "compute_cycles"), 0)
    assert len(drawn(made(1, **nothing), report).axes) == 1


@pytest.mark.parametrize("report", REPORTS)
def test_no_text_is_clipped_and_none_lies_on_another(report: str) -> None:
    figure = drawn(frame("alexnet", "eyeriss", "gpu", SYSTOLIC), report)
    renderer, page = figure.canvas.get_renderer(), figure.bbox  # type: ignore[attr-defined]
    for axes in figure.axes:
        texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
        boxes = [(text, Text.get_window_extent(text, renderer)) for text in texts if text.get_text()]
        boxes = [(text, box) for text, box in boxes if text.get_visible() and box.width]
        for text, box in boxes:
            assert 0 <= box.x0 <= box.x1 <= page.width, text
            assert float(text.get_fontsize()) >= 8, text
        for (text, box), (other, there) in combinations(boxes, 2):
            assert not box.padded(-1).overlaps(there.padded(-1)), (text, other)

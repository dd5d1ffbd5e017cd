"""Figures over chips: bars and marks stand at the values of their runs, layers under their roofs, parts add up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import hwsim
from hwsim.errors import InputError
from hwsim.results import store
from hwsim.results.beside import beside

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SMALLEST_TEXT, HALF_A_PAGE_INCH = 8.0, 5.5

TOUCH_PIXELS = 1.0
"""Boxes of texts are a little larger than their letters."""


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def run(
    chip: str, seconds: list[float], energy_pj: list[float], batch: int = 1, measured: bool = False
) -> pd.DataFrame:
    """Return the rows of a network of a convolution, a matrix product and so on, on `chip`."""
    count = len(seconds)
    rows = pd.DataFrame(
        {
            "network": "tiny", "layer": ["conv", "fc", "fd", "fe"][:count], "kind": ["conv", *["matmul"] * (count - 1)],
            "chip": chip, "dataflow": "flow", "format": "int8", "batch": batch, "macs": 1000, "fill_cycles": 100,
            "compute_cycles": 300, "stall_cycles": 500, "drain_cycles": 100, "total_cycles": 1000, "seconds": seconds,
            "energy_mac_pj": np.array(energy_pj) / 4, "energy_dram_pj": np.array(energy_pj) * 3 / 4,
            "energy_pj": energy_pj, "dram_read_bytes": 150, "dram_write_bytes": 50, "peak_macs_per_s": 1e9,
            "off_chip_level": "dram", "off_chip_bytes_per_s": 1e8,
        }
    )  # fmt: skip
    return rows.assign(seconds_first_half=rows["seconds"]) if measured else rows


def several(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def frame(network: str, *chips: str) -> pd.DataFrame:
    return several(*(hwsim.simulate(network, chip).frame for chip in chips))


def drawn(report: str, rows: pd.DataFrame) -> Figure:
    figure = store.figure(report, rows)
    figure.canvas.draw()
    return figure


def bars(axes: Axes) -> dict[str, float]:
    """Return how far the bar of each name reaches, from the top."""
    names = dict(zip(axes.get_yticks(), (label.get_text() for label in axes.get_yticklabels()), strict=True))
    boxes = [bar for found in axes.containers if isinstance(found, BarContainer) for bar in found]
    return {names[round(bar.get_y() + bar.get_height() / 2)]: bar.get_x() + bar.get_width() for bar in boxes}


def marks(axes: Axes) -> list[float]:
    return [float(np.asarray(line.get_xdata())[0]) for line in axes.lines]


def panel(figure: Figure, label: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_xlabel() == label)


def said(figure: Figure) -> list[str]:
    return [found.get_text() for found in figure.findobj(Text) if isinstance(found, Text)]


def test_bars_are_a_batch_s_time_and_energy_throughput_and_product_of_an_inference() -> None:
    figure = drawn("comparison", run("a", [2e-3, 3e-3], [4e9, 6e9], batch=2))
    # 5 ms for 2 inferences of 10 mJ together
    expected = {
        "latency": 5e-3,
        "energy per inference": 5e-3,
        "inferences per second": 400,
        "energy-delay product": 25e-6,
    }
    assert {label: bars(panel(figure, label))["a"] for label in expected} == pytest.approx(expected)


def test_the_best_stands_first_and_axes_are_logarithmic_beyond_a_decade() -> None:
    figure = drawn("comparison", several(run("a", [7e-3], [5e9]), run("b", [5e-4], [6e9]), run("c", [6e-3], [9e9])))
    assert list(bars(panel(figure, "latency"))) == ["b", "c", "a"]
    assert list(bars(panel(figure, "inferences per second"))) == ["b", "c", "a"]
    assert list(bars(panel(figure, "energy per inference"))) == ["a", "b", "c"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "log", "log"]


def test_published_times_of_some_layers_stand_beside_a_bar_of_these_layers() -> None:
    rows = frame("alexnet:batch=4", "eyeriss:mapping=published")
    figure = drawn("comparison", rows)
    latency, chip = panel(figure, "latency"), "eyeriss:mapping=published"
    convolutions = rows.loc[rows["layer"].isin([f"conv{number}" for number in range(1, 6)]), "seconds"].sum()
    assert bars(latency)[f"{chip}\nconv1 to conv5 of it"] == pytest.approx(convolutions)
    assert bars(latency)[chip] == pytest.approx(rows["seconds"].sum())
    # Table V, batch 4: 20.9 + 41.9 + 23.6 + 18.4 + 10.5 ms
    assert marks(latency) == pytest.approx([115.3e-3])
    assert "published: Chen et al. 2017" in said(figure)


def test_published_throughput_is_a_mark_whose_source_and_doubts_are_said() -> None:
    figure = drawn("comparison", frame("tpu_apps:app=MLP0", "tpu_v1"))
    assert marks(panel(figure, "inferences per second")) == [225000]
    assert any("Jouppi et al. 2017 (it holds what is not simulated)" in text for text in said(figure))


def test_a_changed_chip_has_no_published_values() -> None:
    assert beside(frame("tpu_apps:app=MLP0", "tpu_v1:rows=128")).empty


def test_a_measured_run_is_a_mark_beside_the_model_of_its_machine() -> None:
    rows = several(run("cpu:host", [4e-3], [8e9]), run("cpu:0f3a", [5e-3], [0.0], measured=True))
    latency = panel(drawn("comparison", rows), "latency")
    assert bars(latency) == pytest.approx({"cpu:host": 4e-3})
    assert marks(latency) == pytest.approx([5e-3])


def test_a_measured_run_without_a_model_has_a_place_of_its_own_and_no_energy_where_none_was_measured() -> None:
    rows = several(run("gpu:h100", [4e-3], [8e9]), run("NVIDIA A100", [3e-3], [0.0], measured=True))
    figure = drawn("comparison", rows)
    latency, energy = panel(figure, "latency"), panel(figure, "energy per inference")
    assert [label.get_text() for label in latency.get_yticklabels()] == ["NVIDIA A100", "gpu:h100"]
    assert (list(bars(latency)), marks(latency)) == (["gpu:h100"], [3e-3])
    assert [label.get_text() for label in energy.get_yticklabels()] == ["gpu:h100"]


def test_the_same_machine_s_measurement_belongs_to_its_gpu() -> None:
    rows = several(run("gpu:h100", [4e-3], [8e9]), run("NVIDIA H100 80GB HBM3", [3e-3], [0.0], measured=True))
    found = beside(rows)
    assert set(found["chip"]) == {"gpu:h100"}
    assert dict(zip(found["quantity"], found["value"], strict=True)) == pytest.approx(
        {"seconds": 3e-3, "inferences_per_s": 1 / 3e-3}
    )


def test_rows_end_with_the_rates_that_bound_them() -> None:
    row = hwsim.simulate("mlp", "systolic:rows=5,cols=3,bandwidth_gb_s=7").rows[0]
    assert list(row)[-3:] == ["peak_macs_per_s", "off_chip_level", "off_chip_bytes_per_s"]
    assert [row[name] for name in list(row)[-3:]] == [5 * 3 * 1e9, "dram", pytest.approx(7e9)]


def test_a_chip_with_all_memory_in_itself_has_no_rate_off_chip() -> None:
    row = hwsim.simulate("mlp", "dadiannao").rows[0]
    assert (row["off_chip_level"], row["off_chip_bytes_per_s"]) == ("none", None)


def test_layers_stand_at_their_operations_per_byte_and_second() -> None:
    (axes,) = drawn("roofline", run("a", [1e-3, 4e-3], [1.0, 1.0])).axes
    # 2 x 1000 operations, 150 + 50 bytes
    places = {tuple(map(float, place)) for found in axes.collections for place in np.asarray(found.get_offsets())}
    assert places == {(10.0, 2e6), (10.0, 5e5)}
    sizes = sorted(float(size) for found in axes.collections for size in found.get_sizes())  # type: ignore[attr-defined]
    assert sizes[1] - 12 == pytest.approx(4 * (sizes[0] - 12))


def test_roofs_are_the_peak_and_the_memory_s_rate_times_operations_per_byte() -> None:
    (axes,) = drawn("roofline", run("a", [1e-3], [1.0])).axes
    x, y = (np.asarray(values, float) for values in axes.lines[-1].get_data())
    assert y == pytest.approx(np.minimum(2e9, 1e8 * x))
    assert 20.0 in x  # the ridge, 2e9 / 1e8
    assert {"2 Gop/s", "DRAM 100 MB/s"} <= {text.get_text() for text in axes.texts}


def test_each_format_of_a_run_has_its_roof() -> None:
    rows = run("a", [1e-3, 1e-3], [1.0, 1.0])
    rows["format"], rows["peak_macs_per_s"] = ["int8", "fp16"], [1e9, 5e8]
    (axes,) = drawn("roofline", rows).axes
    assert {"2 Gop/s int8", "1 Gop/s fp16"} <= {text.get_text() for text in axes.texts}


def test_what_moves_nothing_off_chip_stands_at_the_right_end() -> None:
    rows = run("a", [1e-3], [1.0]).assign(dram_read_bytes=0, dram_write_bytes=0)
    figure = drawn("roofline", rows)
    (axes,) = figure.axes
    assert float(np.asarray(axes.collections[0].get_offsets())[0][0]) == pytest.approx(axes.get_xlim()[1] / 1.4)
    assert any("what moves nothing off-chip stands at the right end" in " ".join(text.split()) for text in said(figure))


@pytest.mark.parametrize("chip", ["systolic", "tpu_v1", "gpu:h100", "cpu"])
def test_no_layer_of_a_chip_that_computes_zeros_is_above_its_roofs(chip: str) -> None:
    rows = frame("alexnet", chip)
    rows = rows[(rows["macs"] > 0) & (rows["seconds"] > 0)]
    moved = rows["dram_read_bytes"] + rows["dram_write_bytes"]
    attainable = np.minimum(rows["peak_macs_per_s"], rows["off_chip_bytes_per_s"] * rows["macs"] / moved)
    assert (rows["macs"] / rows["seconds"] <= attainable * 1.001).all()


def test_a_run_without_products_or_only_measured_has_no_roofline_and_no_breakdown() -> None:
    with pytest.raises(InputError, match="'roofline' has nothing to draw"):
        drawn("roofline", run("a", [1e-3], [1.0]).assign(macs=0))
    with pytest.raises(InputError, match="'breakdown' has nothing to draw"):
        drawn("breakdown", run("a", [1e-3], [1.0], measured=True))


def test_parts_of_a_bar_are_shares_of_the_whole_network_and_add_up() -> None:
    energy, cycles = drawn("breakdown", run("a", [1e-3, 1e-3], [3e9, 5e9])).axes
    assert bars(energy)["a"] == pytest.approx(1)
    assert bars(cycles)["a"] == pytest.approx(1)
    assert {"MACs 25%", "DRAM 75%", "8 mJ"} <= {text.get_text() for text in energy.texts}
    # 100, 300, 500 and 100 of 1000 cycles; the ends have no room for their names
    texts = {text.get_text() for text in cycles.texts}
    assert {"compute 30%", "wait for data 50%", "fill 10%, drain 10%", "2 ms"} <= texts


def test_a_run_without_energy_has_no_bar_of_it() -> None:
    energy, cycles = drawn("breakdown", several(run("a", [1e-3], [0.0]), run("b", [1e-3], [2e9]))).axes
    assert (list(bars(energy)), list(bars(cycles))) == (["b"], ["a", "b"])


@pytest.mark.parametrize("report", ["comparison", "roofline", "breakdown"])
def test_a_name_is_drawn_as_it_stands(report: str) -> None:
    rows = run("$chip^2$", [1e-3, 2e-3], [1e9, 2e9]).assign(network="$x_{1}$")
    figure = drawn(report, rows.assign(layer=["$y$", "z_{2}$"]))
    assert any("$x_{1}$" in text for text in said(figure))
    assert any("$chip^2$" in text for text in said(figure))
    assert not any(found.get_parse_math() for found in figure.findobj(Text) if "$" in found.get_text())


LONG = "systolic:rows=64,cols=64,clock_mhz=250"
CASES = {
    "chips": ("mlp", ("systolic", "tpu_v1", "eyeriss", "gpu:h100", "isca2016", "dadiannao")),
    "one chip": ("alexnet", ("tpu_v1",)),
    "many layers": ("resnet:depth=50", ("gpu:h100",)),
    "long names": ("mlp", (LONG, "systolic:rows=128,cols=128,clock_mhz=250")),
    "published": ("alexnet:batch=4", ("eyeriss:mapping=published",)),
}


@pytest.mark.parametrize(
    ("report", "case"),
    [
        *product(("comparison", "roofline", "breakdown", "layers"), CASES),
        ("matrix_unit", "one chip"),
        ("pe_sets", "published"),
    ],
)
def test_no_text_lies_on_another_or_leaves_the_page_and_all_is_legible_at_half_a_page(report: str, case: str) -> None:
    network, chips = CASES[case]
    figure = drawn(report, frame(network, *chips))
    assert figure.get_figwidth() == HALF_A_PAGE_INCH
    boxes = shown(figure)
    page = figure.bbox.padded(TOUCH_PIXELS)
    assert [text for text, box in boxes if not page.contains(box.x0, box.y0) or not page.contains(box.x1, box.y1)] == []
    assert [(one, other) for (one, box), (other, second) in combinations(boxes, 2) if clash(box, second)] == []


def shown(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return every text that is seen, and its box [pixel]; what runs along a slope has none that says where it is."""
    found, beyond = [], hidden(figure)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if not text.get_visible() or not text.get_text().strip() or text.get_rotation() % 90:
            continue
        box = text.get_window_extent()
        if box.width and box.height and text not in beyond:
            assert float(text.get_fontsize()) >= SMALLEST_TEXT
            found.append((text.get_text(), box))
    return found


def hidden(figure: Figure) -> set[Text]:
    """Return the labels of ticks that lie beyond the ends of their axis, which are not drawn."""
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    ticks = [(axis, tick) for axis in axes for tick in axis.get_major_ticks()]
    beyond = [tick for axis, tick in ticks if not _within(float(tick.get_loc()), axis.get_view_interval())]
    return {label for tick in beyond for label in (tick.label1, tick.label2)}


def _within(place: float, ends: tuple[float, float]) -> bool:
    return min(ends) <= place <= max(ends)


def clash(one: Bbox, other: Bbox) -> bool:
    shared = Bbox.intersection(one, other)
    return shared is not None and shared.width > TOUCH_PIXELS and shared.height > TOUCH_PIXELS


def test_a_report_that_asks_for_what_is_published_is_given_it_by_a_result_too() -> None:
    figure = hwsim.simulate("tpu_apps:app=MLP0", "tpu_v1").plot("comparison")
    assert marks(panel(figure, "inferences per second")) == [225000]

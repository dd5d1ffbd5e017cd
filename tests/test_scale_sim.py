"""Systolic cycles and SRAM accesses against SCALE-Sim 3: a recorded sample, and the program itself if it is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from scale_sim import Conv, Gemm, Machine, Report, ScaleSimError, interpreter, run
from scale_sim_sample import ALEXNET, ARRAYS, PATH, load, random_shapes

import hwsim
from hwsim import LayerResult
from hwsim.errors import InputError, UsageError
from hwsim.ir import Layer, Network, NetworkBuilder
from hwsim.results.scale_sim import ScaleSimFigures, differences, scale_sim_like
from hwsim.units import ceil_div

Record = tuple[Machine, Conv | Gemm, Report]

SAMPLE = load(PATH)
DATAFLOWS = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}


def missing(extent: int, taps: int, stride: int) -> int:
    """Return rows that SCALE-Sim's last window reads beyond the ifmap, whose outputs it rounds up."""
    return (ceil_div(extent - taps + stride, stride) - 1) * stride + taps - extent


def network(shapes: Iterable[Conv | Gemm], whole_windows: bool = True) -> Network:
    """Return a network of one layer per shape, each with its own input; `whole_windows` pads the last one to fit."""
    net = NetworkBuilder("scale_sim")
    for shape in shapes:
        if isinstance(shape, Gemm):
            net.linear(shape.name, net.input(f"{shape.name}.x", (shape.M, shape.K)), shape.N, bias=False)
            continue
        beyond = [missing(shape.H, shape.R, shape.stride), missing(shape.W, shape.S, shape.stride)]
        net.conv(
            shape.name,
            net.input(f"{shape.name}.x", (1, shape.C, shape.H, shape.W)),
            shape.K,
            (shape.R, shape.S),
            stride=shape.stride,
            padding=(0, 0, *beyond) if whole_windows else 0,
            bias=False,
        )
    return net.build()


def layer_of(shape: Conv | Gemm, whole_windows: bool = True) -> Layer:
    return network([shape], whole_windows).layers[0]


def figures_of(report: Report) -> ScaleSimFigures:
    return ScaleSimFigures(
        report.total_cycles, report.sram_ifmap_reads, report.sram_filter_reads, report.sram_ofmap_writes
    )


def columns(figures: ScaleSimFigures) -> tuple[int, int, int, int]:
    return figures.total_cycles, figures.sram_ifmap_reads, figures.sram_filter_reads, figures.sram_ofmap_writes


def by_machine(records: Sequence[Record]) -> dict[Machine, list[Record]]:
    machines: dict[Machine, list[Record]] = {}
    for record in records:
        machines.setdefault(record[0], []).append(record)
    return machines


def unlike(records: Sequence[Record], whole_windows: bool) -> list[str]:
    """Return each record whose four columns are not what `scale_sim_like` gives."""
    wrong = []
    for machine, shape, report in records:
        layer = layer_of(shape, whole_windows)
        ours = columns(scale_sim_like(layer, DATAFLOWS[machine.dataflow], machine.rows, machine.cols))
        if ours != columns(figures_of(report)):
            wrong.append(f"{machine} {shape}: {ours}, SCALE-Sim {columns(figures_of(report))}")
    return wrong


def unlike_simulation(records: Sequence[Record]) -> list[str]:
    """Return each record that `hwsim.simulate` contradicts, but for what `differences` names."""
    wrong = []
    for machine, group in by_machine(records).items():
        chip = f"systolic:rows={machine.rows},cols={machine.cols},bandwidth_gb_s=inf"
        layers = network(shape for _, shape, _ in group)
        result = hwsim.simulate(layers, on=chip, dataflow=DATAFLOWS[machine.dataflow])
        for (_, shape, report), layer in zip(group, result.layers, strict=True):
            ours = (
                layer.timing.total_cycles,
                words(layer, "ifmap_buffer", "read"),
                words(layer, "filter_buffer", "read"),
                words(layer, "ofmap_buffer", "write"),
                layer.counts.get(("ofmap_buffer", "read", "psum"), 0),
            )
            if ours != physical(machine, shape, report):
                wrong.append(f"{machine} {shape}: {ours}, SCALE-Sim {physical(machine, shape, report)}")
    return wrong


def words(layer: LayerResult, component: str, action: str) -> int:
    return sum(count for (where, what, _), count in layer.counts.items() if (where, what) == (component, action))


def physical(machine: Machine, shape: Conv | Gemm, report: Report) -> tuple[int, int, int, int, int]:
    """Return cycles, ifmap and filter reads, ofmap writes and partial sums read back that a report should have printed.

    Cycles are one more than the index of the last; every output is written once, or once per row fold and read back
    before each row fold but the first.
    """
    layer = layer_of(shape)
    outputs = layer.positions * layer.K
    row_folds = ceil_div(layer.reduction, machine.rows)
    in_place = machine.dataflow == "os"
    return (
        report.total_cycles + 1,
        report.sram_ifmap_reads,
        report.sram_filter_reads,
        outputs if in_place else report.sram_ofmap_writes,
        0 if in_place else (row_folds - 1) * outputs,
    )


def test_sample_has_540_rows_on_square_wide_and_tall_arrays() -> None:
    kinds = {(type(shape), machine.dataflow, (machine.rows, machine.cols)) for machine, shape, _ in SAMPLE}
    assert len(SAMPLE) >= 540
    assert kinds >= {(kind, dataflow, array) for kind in (Conv, Gemm) for dataflow in DATAFLOWS for array in ARRAYS}


def test_sample_has_alexnet_at_128x128_output_stationary_as_measured() -> None:
    cycles = [
        report.total_cycles
        for machine, shape, report in SAMPLE
        if machine.dataflow == "os" and machine.rows == 128 and shape in ALEXNET
    ]
    # conv1: 55 * 55 = 3025 outputs in ceil(3025 / 128) = 24 folds of 128 + 128 + 11 * 11 * 3 - 2 = 617 cycles, less 1
    assert cycles == [24 * 617 - 1, 26539, 7673, 11129, 7419]


def test_figures_equal_scale_sim_in_every_column_of_the_sample() -> None:
    assert unlike(SAMPLE, whole_windows=True) == []


def test_figures_round_windows_up_as_scale_sim_does() -> None:
    assert unlike(SAMPLE, whole_windows=False) == []


def test_cycles_are_scale_sims_plus_one_and_accesses_equal_where_it_is_right() -> None:
    assert unlike_simulation(SAMPLE) == []


def test_output_stationary_adds_the_arrays_height_and_width_to_the_writes_of_each_fold() -> None:
    # 9 * 12 = 108 outputs in ceil(108 / 8) = 14 folds, 7 filters in 1, 3 * 2 * 5 = 30 products
    layer = layer_of(Conv("c", 11, 13, 3, 2, 5, 7))
    figures = scale_sim_like(layer, "output_stationary", 8, 8)
    assert columns(figures) == (14 * (8 + 8 + 30 - 2) - 1, 108 * 30, 14 * 7 * 30, 108 * 7 + 14 * (8 + 8))
    assert differences(layer, "output_stationary", 8, 8) == (
        "total cycles: SCALE-Sim prints 615, the index of the last cycle; the count is 616",
        "SRAM OFMAP writes: SCALE-Sim prints 980, the count is 756; it adds 8 rows + 8 columns for each of 14 folds",
    )


def test_weight_stationary_never_reads_partial_sums_back() -> None:
    # 23 products over 4 rows: 6 folds; 7 filters over 16 columns: 1 fold; 5 positions stream
    layer = layer_of(Gemm("g", 5, 7, 23))
    figures = scale_sim_like(layer, "weight_stationary", 4, 16)
    assert columns(figures) == (6 * (2 * 4 + 16 + 5 - 2) - 1, 5 * 23, 23 * 7, 6 * 5 * 7)
    assert differences(layer, "weight_stationary", 4, 16)[1:] == (
        "SRAM OFMAP reads: SCALE-Sim writes the partial sums of 6 row folds and reads none back; "
        "adding them up takes 175 reads",  # 5 * 5 * 7
    )


def test_input_stationary_streams_filters_and_keeps_inputs() -> None:
    # 3 products over 4 rows: 1 fold; 17 positions over 16 columns: 2 folds; 7 filters stream
    layer = layer_of(Gemm("g", 17, 7, 3))
    figures = scale_sim_like(layer, "input_stationary", 4, 16)
    assert columns(figures) == (2 * (2 * 4 + 16 + 7 - 2) - 1, 3 * 17, 2 * 7 * 3, 7 * 17)
    assert len(differences(layer, "input_stationary", 4, 16)) == 1


def test_window_beyond_the_ifmap_is_named() -> None:
    layer = layer_of(ALEXNET[0], whole_windows=False)
    assert differences(layer, "output_stationary", 128, 128)[0] == (
        "outputs: SCALE-Sim computes 55 x 55, the layer has 54 x 54; "
        "it rounds up and counts windows that reach beyond the ifmap"
    )


def test_groups_images_and_steps_are_products_in_sequence() -> None:
    net = NetworkBuilder("grouped")
    net.conv("both", net.input("x", (3, 14, 9, 9)), 10, 3, groups=2, padding=1, bias=False)
    net.conv("one", net.input("y", (1, 7, 11, 11)), 5, 3, bias=False)
    both, one = net.build().layers
    for dataflow in DATAFLOWS.values():
        single = columns(scale_sim_like(one, dataflow, 4, 7))
        assert columns(scale_sim_like(both, dataflow, 4, 7)) == tuple(3 * 2 * figure for figure in single)
    assert scale_sim_like(both, "output_stationary", 4, 7).notes == (
        "SCALE-Sim has no groups, batch or steps: 6 sequential products are added up",
        "SCALE-Sim has no padding: the ifmap is stored as 11 x 11, zeros included",
    )
    assert scale_sim_like(one, "output_stationary", 4, 7).notes == ()


def test_dilated_filter_reaches_over_its_gaps() -> None:
    net = NetworkBuilder("dilated")
    net.conv("c", net.input("x", (1, 2, 13, 13)), 5, 3, dilation=2, stride=(1, 2), bias=False)
    layer = net.build().layers[0]
    # (13 - 5) / 1 + 1 = 9 rows, (13 - 5) / 2 + 1 = 5 columns: 45 outputs of 18 products, 5 filters
    assert scale_sim_like(layer, "weight_stationary", 18, 5).total_cycles == 2 * 18 + 5 + 45 - 2 - 1
    assert "one stride and no dilation" in differences(layer, "weight_stationary", 18, 5)[0]


def test_layer_without_products_has_no_figures() -> None:
    net = NetworkBuilder("pooled")
    net.pool("p", net.input("x", (1, 3, 8, 8)), 2)
    with pytest.raises(InputError, match=r"layer 'p' \(pool\) is no matrix product"):
        scale_sim_like(net.build().layers[0], "output_stationary", 8, 8)


def test_unknown_dataflow_and_empty_array_are_usage_errors() -> None:
    layer = layer_of(Gemm("g", 2, 3, 5))
    with pytest.raises(UsageError, match="did you mean 'weight_stationary'"):
        scale_sim_like(layer, "weight_stationery", 8, 8)
    with pytest.raises(UsageError, match="an array of 8 x 0 has no PE"):
        differences(layer, "output_stationary", 8, 0)


def test_driver_names_what_went_wrong(tmp_path: Path) -> None:
    with pytest.raises(ScaleSimError, match="no_such_python"):
        run(tmp_path / "no_such_python", Machine("os", 8, 8), [Gemm("g", 2, 3, 5)])


@pytest.fixture(scope="session")
def scale_sim_python(request: pytest.FixtureRequest) -> Path:
    """A Python with SCALE-Sim, installed once into pytest's cache folder where the environment names none."""
    try:
        return interpreter(request.config.cache.mkdir("scale_sim"))
    except ScaleSimError as error:
        pytest.skip(str(error))


def live(python: Path, machine: Machine, shapes: Sequence[Conv | Gemm]) -> list[Record]:
    return [(machine, shape, report) for shape, report in zip(shapes, run(python, machine, shapes), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", list(DATAFLOWS))
@pytest.mark.parametrize(("rows", "cols"), ARRAYS)
def test_live_scale_sim_agrees_on_fresh_shapes(scale_sim_python: Path, dataflow: str, rows: int, cols: int) -> None:
    seed = 1009 * rows + 101 * cols + list(DATAFLOWS).index(dataflow)
    records = live(scale_sim_python, Machine(dataflow, rows, cols), random_shapes(seed, 60))
    assert [report.stall_cycles for _, _, report in records] == [0] * 60
    assert unlike(records, whole_windows=False) == []
    assert unlike_simulation(records) == []


@pytest.mark.slow
def test_live_scale_sim_agrees_on_alexnet(scale_sim_python: Path) -> None:
    records = live(scale_sim_python, Machine("os", 128, 128), ALEXNET)
    assert unlike(records, whole_windows=False) == []
    assert unlike_simulation(records) == []

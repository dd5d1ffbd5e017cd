"""Many systolic arrays at once give, bit for bit, what each gives alone, or leave it to that."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BANDWIDTHS_GB_S, BUFFER_KIB, DATAFLOWS, SIDES, layers, linear, network_of

from hwsim import catalog, simulate
from hwsim.chips.systolic import FORMATS, systolic
from hwsim.engine import array_points, array_points_kernels
from hwsim.engine.points import ArrayRows, each, factor
from hwsim.errors import HwsimError
from hwsim.ir import Layer, Network
from hwsim.mapping.folding import Operand
from hwsim.mapping.passes import transfer_cycles
from hwsim.mapping.systolic import place
from hwsim.mapping.systolic_points import fastest
from hwsim.mapping.systolic_shapes import Machine, Words, shape_of
from hwsim.results.record import NetworkResult
from hwsim.units import pj_to_j

KINDS: dict[str, type] = {"rows": int, "cols": int, "vector_lanes": int, "drain": object, "preload": object}
OPERANDS: tuple[Operand, ...] = ("weight", "output", "input")

Point = dict[str, Any]

points = st.fixed_dictionaries(
    {
        "rows": SIDES | st.sampled_from([32, 100]),
        "cols": SIDES | st.sampled_from([32, 100]),
        "ifmap_kib": BUFFER_KIB,
        "filter_kib": BUFFER_KIB,
        "ofmap_kib": BUFFER_KIB,
        # numbers of 17 digits make rates of 2^40 denominators, whose products with bits leave 64 bits
        "bandwidth_gb_s": BANDWIDTHS_GB_S | st.floats(0.01, 3000),
        "clock_mhz": st.sampled_from([1000.0, 700.0, 333.3, 0.001]),
        "vector_lanes": st.sampled_from([0, 1, 7, 64]),
        "node_nm": st.sampled_from([45.0, 7.0, 28.0, 100.5]),
        "drain": st.sampled_from(["array", "tile"]),
        "preload": st.sampled_from(["serial", "overlapped"]),
    }
)
"""Every parameter of the chip."""


def columns(several: list[Point]) -> dict[str, Any]:
    return {name: np.array([one[name] for one in several], KINDS.get(name, float)) for name in several[0]}


def arrays(net: Network, several: list[Point], dataflow: str = "", fmt: str = "int8", **fixed: str) -> ArrayRows:
    return array_points.evaluate(
        net, "systolic", columns(several), fixed, dataflow, catalog.number_format(fmt), layers=True
    )


def alone(net: Network, point: Point, dataflow: str = "", fmt: str = "int8") -> NetworkResult:
    spec = "systolic:" + ",".join(f"{name}={value!r}".replace("'", "") for name, value in point.items())
    return simulate(net, spec, dataflow=dataflow or None, format=fmt)


def metrics(result: NetworkResult) -> dict[str, Any]:
    """Return the totals by the columns of arrays, each computed as a reader of the result would."""
    total = result.total
    rows = result.rows
    return {
        **{name: total[name] for name in ("macs", "parameters", "total_cycles", "seconds", "energy_pj")},
        **{name: total[name] for name in ("average_power_w", "inferences_per_s", "inferences_per_j", "utilisation")},
        "batch": result.network.batch,
        "edp_js": total["seconds"] * pj_to_j(total["energy_pj"]),
        "area_mm2": result.chip.area_mm2(result.fmt),
        **{f"dram_{what}_bytes": sum(row[f"dram_{what}_bytes"] for row in rows) for what in ("read", "write")},
    }


LAYERS = (
    "layer", "kind", "format", "macs", "total_cycles", "stall_cycles", "seconds", "utilisation", "dram_read_bytes",
    "dram_write_bytes", "energy_pj",
)  # fmt: skip


def require_same(found: ArrayRows, index: int, result: NetworkResult) -> None:
    """Check every column of a point and of its layers against its own simulation, without any tolerance."""
    wanted = metrics(result)
    assert {name: values[index].item() for name, values in found.points.items()} == wanted
    assert found.layers is not None
    mine = found.layers["point"] == index
    rows = [(at, row) for at, row in enumerate(result.rows) if row["total_cycles"] or row["energy_pj"]]
    assert found.layers["layer_index"][mine].tolist() == [at for at, _ in rows]
    for name in LAYERS:
        assert found.layers[name][mine].tolist() == [row[name] for _, row in rows], name


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(layers(), min_size=1, max_size=3),
    st.lists(points, min_size=1, max_size=6),
    st.sampled_from(("", *DATAFLOWS)),
    st.sampled_from(FORMATS),
)
def test_arrays_of_random_points_are_each_point_alone(
    several: list[Layer], chips: list[Point], dataflow: str, fmt: Any
) -> None:
    net = network_of(*several)
    found = arrays(net, chips, dataflow, fmt.name)
    assert found.exact.all()
    for index, point in enumerate(chips):
        require_same(found, index, alone(net, point, dataflow, fmt.name))


sizes = st.integers(0, 26).flatmap(lambda bits: st.integers(1 << bits, (2 << bits) - 1))
"""Up to 10^8, small ones as often as large ones."""


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.builds(linear, sizes, sizes, sizes, st.sampled_from([1, 1, 8])),
    st.lists(points | st.builds(lambda point, side: {**point, "rows": side}, points, sizes), min_size=1, max_size=4),
    st.sampled_from(DATAFLOWS),
)
def test_what_arrays_give_of_huge_layers_is_exact(layer: Layer, chips: list[Point], dataflow: str) -> None:
    """Where a product could leave 64 bits, the point is left to the other route."""
    net = network_of(layer)
    found = arrays(net, chips, dataflow, "fp32")
    for index in np.flatnonzero(found.exact).tolist():
        require_same(found, index, alone(net, chips[index], dataflow, "fp32"))


@settings(max_examples=150, deadline=None)
@given(layers(113), st.integers(1, 3), points, st.sampled_from(OPERANDS))
def test_the_search_in_numbers_is_the_search(layer: Layer, steps: int, point: Point, stationary: Operand) -> None:
    """The functions that are compiled, run as they stand."""
    chip, fmt = systolic(**point), catalog.number_format("int8")
    rooms = chip.rooms
    found = fastest(
        shape_of(layer, stationary),
        Machine(
            chip.array.rows, chip.array.cols, chip.array.drain == "tile", chip.array.preload == "overlapped",
            rooms["input"], rooms["weight"], rooms["output"], chip.off_chip_rate or (1, 0),
        ),
        Words(8, 8, 32, stationary == "output", stationary == "weight"),
    )  # fmt: skip
    mapping = place(layer, chip, fmt, stationary, "any")
    assert found.exact
    assert found.totals == mapping.totals
    folding = mapping.folding
    same = ("copies", "chunk", "row_extent", "col_extent", "stream_extent", "rows", "cols", "rows_outer", "spills")
    assert [getattr(found.fold, name) for name in same] == [getattr(folding, name) for name in same]


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("network", ["alexnet", "resnet:depth=18,batch=4", "lstm", "bert"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_networks_are_the_same_by_both_routes(network: str, dataflow: str) -> None:
    net = catalog.network(network)
    chips = [
        {"rows": 12, "cols": 14, "bandwidth_gb_s": 12.8, "drain": "tile", "vector_lanes": 0},
        {"rows": 64, "cols": 16, "bandwidth_gb_s": 37.3, "drain": "array", "vector_lanes": 13},
    ]
    found = arrays(net, chips, dataflow, "fp16", ifmap_kib="64", clock_mhz="700", preload="overlapped")
    assert found.exact.all()
    for index, point in enumerate(chips):
        fixed = {"ifmap_kib": 64.0, "clock_mhz": 700.0, "preload": "overlapped"}
        require_same(found, index, alone(net, {**point, **fixed}, dataflow, "fp16"))


def test_what_a_point_gives_does_not_depend_on_its_neighbours() -> None:
    net = catalog.network("alexnet")
    chips = [{"rows": 8 * side, "node_nm": node} for side in (1, 3, 3, 7) for node in (45.0, 28.0)]
    together = arrays(net, chips)
    for index, point in enumerate(chips):
        one = arrays(net, [point])
        assert {name: values[0] for name, values in one.points.items()} == {
            name: values[index] for name, values in together.points.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 0}, {"cols": -3}, {"ifmap_kib": 0.0}, {"filter_kib": 1e-4}, {"ofmap_kib": inf}, {"clock_mhz": 1e-7},
        {"clock_mhz": 1e305}, {"bandwidth_gb_s": 0.0}, {"bandwidth_gb_s": 1e-300}, {"vector_lanes": -1},
        {"node_nm": 3.0}, {"node_nm": float("nan")}, {"drain": "tiles"}, {"preload": "never"},
    ],
)  # fmt: skip
def test_a_point_that_the_chip_refuses_is_left_out_and_the_others_stay(wrong: Point) -> None:
    net, right = network_of(linear(5, 7, 3)), dict.fromkeys(wrong, None)
    right = {"rows": 3, "cols": 5, **{name: _default(name) for name in right if name not in ("rows", "cols")}}
    found = arrays(net, [right, {**right, **wrong}, right])
    assert found.exact.tolist() == [True, False, True]
    require_same(found, 2, alone(net, right))
    with pytest.raises((HwsimError, OverflowError)):
        systolic(**{**right, **wrong})


def _default(name: str) -> Any:
    return systolic().parameters[name]


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"rows": 2**21}, "PEs that floating point may not count"),
        # 5 x 7 x 3 products at 1e-12 bits per cycle
        ({"bandwidth_gb_s": 1e-12}, "cycles beyond 2^53"),
        ({"ofmap_kib": 1e15}, "bits beyond 2^60"),
    ],
)
def test_numbers_that_64_bits_may_not_hold_are_left_to_the_other_route(point: Point, reason: str) -> None:
    net = network_of(linear(1009, 997, 991))
    assert arrays(net, [point]).exact.tolist() == [False], reason
    assert alone(net, point).total["total_cycles"] > 0


def test_what_is_not_of_this_chip_is_left_to_the_other_route() -> None:
    net, int8 = network_of(linear(5, 7, 3)), catalog.number_format("int8")
    rows = {"rows": np.array([3, 5])}
    for name, swept, fixed, dataflow, fmt in (
        ("eyeriss", rows, {}, "", int8),
        ("./mine.py", rows, {}, "", int8),
        ("systolic", {"depth": np.array([3, 5])}, {}, "", int8),
        ("systolic", rows, {"rows": "3"}, "", int8),
        ("systolic", rows, {"cols": "three"}, "", int8),
        ("systolic", rows, {}, "row_stationary", int8),
        ("systolic", rows, {}, "", catalog.number_format("fixed16")),
    ):
        found = array_points.evaluate(net, name, swept, fixed, dataflow, fmt, layers=True)
        assert not found.exact.any()
        assert len(found.exact) == 2


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**50), st.integers(1, 2**55), st.integers(1, 2**40))
def test_transfers_are_exact_where_the_product_leaves_64_bits(bits: int, rate_bits: int, rate_cycles: int) -> None:
    exact = -(-bits * rate_cycles // rate_bits)
    found = array_points_kernels._transfer(bits, rate_bits, rate_cycles)
    assert found == exact if exact < 2**53 else found >= 2**53
    # the scalar function reads nothing of a folding but its rate
    folding: Any = SimpleNamespace(bandwidth=(rate_bits, rate_cycles))
    assert transfer_cycles(folding, bits) == exact


@given(st.lists(st.floats(0, 1e12), max_size=7), st.floats(1e-3, 1e3))
def test_compensated_sums_are_nearer_to_the_exact_sum(values: list[float], scale: float) -> None:
    """Neumaier's sum, which Python 3.12 uses, is off by at most one rounding of these sums."""
    given = np.array([value * scale for value in values], float)
    exact = sum(map(Fraction, given.tolist()))
    found = array_points_kernels._sum(given, True)
    assert abs(Fraction(found) - exact) <= Fraction(float(exact)) * Fraction(2) ** -52
    plain = 0.0
    for value in given.tolist():
        plain += value
    assert array_points_kernels._sum(given, False) == plain


def test_a_function_is_called_once_for_each_combination_that_occurs() -> None:
    calls = []

    def add(first: int, second: int) -> int:
        calls.append((first, second))
        if second == 11:
            raise HwsimError("no")
        return first + second

    found = each(add, factor(np.array([2, 3, 2, 3])), factor(np.array([7, 11, 7, 5])))
    assert sorted(calls) == [(2, 7), (3, 5), (3, 11)]
    assert [found.values[at] for at in found.which] == [9, None, 9, 8]


def test_the_key_of_the_compiled_search_changes_with_every_file_it_is_made_of(tmp_path: Path) -> None:
    """numba's cache has the variables of a closure in its key, so an edit in another file is seen."""
    file = tmp_path / "a.py"
    file.write_text("1")
    before = array_points_kernels.digest([file])
    file.write_text("2")
    assert array_points_kernels.digest([file]) != before
    search: Any = array_points_kernels.place()
    (cells,) = search.py_func.__closure__
    kept = search._cache._index_key(search.signatures, search.targetctx.codegen())
    contents, cells.cell_contents = cells.cell_contents, "edited"
    assert search._cache._index_key(search.signatures, search.targetctx.codegen()) != kept
    cells.cell_contents = contents

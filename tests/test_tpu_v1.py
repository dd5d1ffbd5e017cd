"""TPU v1 beside its paper: the counters of Table 3, the facts of Sec. 7, cycles by hand, sizes, power, the host.

The paper is Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA 2017.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise
from math import ceil
from statistics import mean

import pytest
from command import hwsim as command
from programs import compiled
from strategies import linear, network_of

import hwsim
from hwsim.ir import Network, NetworkBuilder
from hwsim.results.compare import mean_absolute_error
from hwsim.results.expectation import expectations
from hwsim.results.record import Row

TABLE_3 = ("MLP0", "LSTM1", "CNN0")
RNNS = ("MLP0", "MLP1", "LSTM0", "LSTM1")
CNNS = ("CNN0", "CNN1")
APPS = (*RNNS, *CNNS)
PARTS = ("array_active_fraction", "weight_stall_fraction", "weight_shift_fraction", "non_matrix_fraction")


@cache
def result(app: str, chip: str = "tpu_v1") -> hwsim.NetworkResult:
    return hwsim.simulate(f"tpu_apps:app={app}", on=chip)


def total(network: str | Network, chip: str = "tpu_v1", fmt: str | None = None) -> Row:
    return hwsim.simulate(network, on=chip, format=fmt).total


def published(table: str, network: str, quantity: str) -> float:
    """Return what a table prints; the first row where it prints two that differ."""
    rows = expectations(table)
    return next(row.published for row in rows if (row.network, row.quantity) == (network, quantity))


def product(positions: int, reduction: int, features: int) -> Network:
    return network_of(linear(positions, reduction, features))


def small_cnn() -> Network:
    """Return three products with edge tiles everywhere: 2 x 2, 11 x 3 and 32 x 3 tiles of 256 x 256."""
    net = NetworkBuilder("small")
    x = net.activation("relu", net.conv("conv1", net.input("x", (3, 29, 13, 11)), 300, 4, padding="same"))
    x = net.conv("conv2", net.pool("pool", x, 2), 530, 3)
    net.linear("fc", net.flatten("flatten", x), 700)
    return net.build()


@pytest.mark.parametrize("app", TABLE_3)
@pytest.mark.parametrize(
    ("share", "points"),
    [("array_active_fraction", 1.5), ("weight_stall_fraction", 6), ("weight_shift_fraction", 2)],
)
def test_shares_of_cycles_are_those_that_the_paper_counted(app: str, share: str, points: float) -> None:
    assert 100 * abs(result(app).total[share] - published("tpu_v1_table3", app, share)) <= points


@pytest.mark.parametrize("app", APPS)
def test_the_four_shares_are_all_cycles_and_useful_and_unused_are_the_active_ones(app: str) -> None:
    for row in (result(app).total, *result(app).rows):
        cycles = row["total_cycles"]
        assert sum(row[part] for part in PARTS) == pytest.approx(1 if cycles else 0)
        assert row["useful_macs_fraction"] + row["unused_macs_fraction"] == pytest.approx(row[PARTS[0]])
        assert row["raw_stall_fraction"] + row["input_stall_fraction"] <= row["non_matrix_fraction"] + 1e-12
        assert min(row[name] for name in row if name.endswith("_fraction")) >= 0


def test_tops_are_off_by_as_much_as_google_s_own_model_was() -> None:
    # 2.9, 19.4 and 2.0 %, on average 8.1 %, where Google's model missed the cycles by 8 % (Table 7). LSTM1 is too fast:
    # its array is active in 11.9 % of cycles, not 10.5 %. CNN0 is held against 78.2 % of the peak of 92 TOPS, because
    # the 86 that row 9 prints contradict rows 1 and 2
    compared = hwsim.compare([result(app) for app in TABLE_3], "tpu_v1_table3")
    tops = [one for one in compared if one.expectation.unit == "TOPS" and one.in_mean]
    assert [(one.subject.network, one.expectation.published) for one in tops] == [
        ("MLP0", 12.3),
        ("LSTM1", 2.8),
        ("CNN0", 71.9),
    ]
    error = mean_absolute_error(tops)
    assert error is not None
    assert error < 8.5


@pytest.mark.parametrize(("side", "tiles", "microseconds"), [(256, 9, 18), (512, 4, 32)])
def test_a_matrix_of_600_x_600_takes_the_steps_and_the_time_of_section_7(
    side: int, tiles: int, microseconds: int
) -> None:
    # 9 x 65,536 B / 30 GiB/s = 18.3 us; 4 x 262,144 B / 30 GiB/s = 32.6 us
    network, chip = product(96, 600, 600), f"tpu_v1:rows={side},cols={side}"
    program = compiled(network, rows=side, cols=side)
    tile_us, row = program.fetch_cycles / 700, total(network, chip)
    assert tile_us == pytest.approx(side * side / (30 * 2**30) * 1e6, rel=1e-3)
    assert row["weight_tiles"] == program.tiles_by_layer.total() == tiles
    assert tiles * tile_us == pytest.approx(microseconds, rel=0.02)
    assert tiles * tile_us < 1e6 * row["seconds_without_host"] < (tiles + 2) * tile_us


def without_host(app: str, parameters: str) -> float:
    """Return how many times as fast an application is, host time excluded as in Fig. 11."""
    key = "seconds_without_host"
    return float(result(app).total[key] / result(app, f"tpu_v1:{parameters}").total[key])


def test_a_larger_matrix_unit_does_not_help_on_average_and_slows_small_matrices() -> None:
    # "A bigger matrix multiply unit doesn't help any DNN" (Fig. 11); LSTM0, whose tiles fill 512 columns, gains 1.2 %,
    # the stand-in for CNN1 9 %
    faster = {app: without_host(app, "rows=512,cols=512") for app in APPS}
    assert max(value for app, value in faster.items() if app != "CNN1") < 1.02
    assert faster["CNN1"] < 1.1
    assert mean(faster.values()) < 0.9
    assert faster["LSTM1"] < 0.65


def test_memory_bandwidth_x4_makes_mlps_and_lstms_3_times_as_fast_and_not_cnn0() -> None:
    # "MLPs and LSTMs improve 3X with 4X memory bandwidth"; CNNs "get little benefit from faster memory" (Fig. 11).
    # 3.4 here: 3.7, 3.5, 3.6 and 3.0
    faster = {app: without_host(app, "bandwidth_gib_s=120") for app in APPS}
    assert 2.5 < mean(faster[app] for app in RNNS) < 3.7
    assert all(2.5 < faster[app] < 4 for app in RNNS)
    assert all(1 <= faster[app] < 1.2 for app in CNNS)


def test_a_clock_x4_helps_cnns_2_times_and_mlps_and_lstms_hardly() -> None:
    # "get nothing from a higher clock. For CNNs it's vice versa; 2X for 4X clock" (Fig. 11): 1.8 and 2.0 here
    assert all(1 <= without_host(app, "clock_mhz=2800") < 1.15 for app in RNNS)
    faster = [without_host(app, "clock_mhz=2800") for app in CNNS]
    assert mean(faster) == pytest.approx(2, rel=0.1)
    assert min(faster) > 1.75


def test_the_cycles_of_mlp0_are_those_worked_by_hand() -> None:
    fetch = ceil(256 * 256 * 700e6 / (30 * 2**30))
    host = ceil(200 * 2000 * 700e6 / (10 * 2**30))
    assert (fetch, host) == (1425, 26078)
    # 2000 = 7 x 256 + 208 is 8 x 8 tiles per layer, all of whose 8 x 200 rows of sums fit 2048 accumulators
    tiles, shift, rows, drain, activate = 64, 256, 200, 256 + 256 - 2, 8 * 200
    assert fetch > shift + rows
    layer = tiles * fetch + shift + rows + drain + activate
    # while the host sends, five tiles come: one lies behind the array, four in the FIFO. The second of them shifts in
    # once the first is in use, and its slot takes the sixth
    first = shift + (tiles - 5) * fetch + shift + rows + drain + activate
    row = result("MLP0").total
    assert row["total_cycles"] == host + first + 4 * layer + host == 514_117
    assert row["array_active_fraction"] * row["total_cycles"] == pytest.approx(5 * tiles * rows)
    assert (row["weight_tiles"], row["host_read_bytes"], row["host_write_bytes"]) == (5 * tiles, 400_000, 400_000)
    # without a host the first layer is like the others
    assert row["seconds_without_host"] == 5 * layer / 700e6


@pytest.mark.parametrize(
    "network", ["tpu_apps:app=MLP1", "tpu_apps:app=LSTM1", small_cnn()], ids=["MLP", "LSTM", "CNN"]
)
@pytest.mark.parametrize(
    ("parameter", "values"),
    [("fifo_tiles", (1, 2, 4, 7)), ("bandwidth_gib_s", (15, 30, 34, 127)), ("host_gib_s", (1, 10, 14))],
)
def test_more_of_anything_that_brings_data_is_never_slower(
    network: str | Network, parameter: str, values: tuple[int, ...]
) -> None:
    cycles = [total(network, f"tpu_v1:{parameter}={value}")["total_cycles"] for value in values]
    assert all(more <= less for less, more in pairwise(cycles))
    assert cycles[1] < cycles[0]


@pytest.mark.parametrize("app", APPS)
def test_decoupled_issue_is_never_slower(app: str) -> None:
    assert result(app, "tpu_v1:issue=decoupled").total["total_cycles"] <= result(app).total["total_cycles"]


def test_with_fewer_accumulators_tiles_come_more_often() -> None:
    # CNN0 has 8 x 361 = 2888 positions: half of 4096 holds 4 images at a time. Half of 2048 holds two, for which a tile
    # comes too late, so four go into both halves, and two into those of 1024
    rows = [result("CNN0", f"tpu_v1:accumulators={held}").total for held in (4096, 2048, 1024)]
    assert [row["weight_tiles"] for row in rows] == [2 * 120, 2 * 120, 4 * 120]
    assert rows[0]["total_cycles"] < rows[1]["total_cycles"] < rows[2]["total_cycles"]


@pytest.mark.parametrize("app", APPS)
def test_more_accumulators_cost_no_more_than_that_results_come_later(app: str) -> None:
    # an Activate stands for as many column tiles as half of them holds, and the next layer waits for it: up to 1.6 %
    cycles = [result(app, f"tpu_v1:accumulators={held}").total["total_cycles"] for held in (1024, 2048, 4096, 8192)]
    assert all(more <= 1.02 * less for less, more in combinations(cycles, 2))


def test_power_of_cnn0_is_near_what_was_measured() -> None:
    # idle power is the paper's; what the array, its buffers and the unified buffer do adds 13.7 W, the DRAM is not on
    # the die
    row = result("CNN0").total
    assert row["chip_power_w"] == pytest.approx(published("tpu_v1_table2_power", "CNN0", "chip_power_w"), rel=0.1)
    assert 28 < row["chip_power_w"] < row["average_power_w"]


def test_measured_power_follows_load_as_figure_10_does() -> None:
    watts = [result("MLP1", f"tpu_v1:load_percent={load}").total["measured_power_w"] for load in (0, 10, 35, 99.5, 100)]
    assert watts[-1] == result("MLP1").total["measured_power_w"] == 40
    # "at 10% load, the TPU uses 88% of the power it uses at 100%" (Sec. 6); the figure itself reads 88.8 %
    assert 0.88 <= watts[1] / 40 <= 0.9
    # half way between 39.0 and 39.4 of 42.9 W
    assert watts[2] == pytest.approx(40 * 39.2 / 42.9)
    assert watts == sorted(watts)
    # Table 2 says 28 W idle, the figure 37.7 of 42.9 W at no load
    assert watts[0] == pytest.approx(40 * 37.7 / 42.9)


@pytest.mark.parametrize("changed", ["rows=512", "clock_mhz=1400", "bandwidth_gib_s=120", "buffer_mib=48"])
def test_a_machine_that_nobody_built_has_no_measured_power(changed: str) -> None:
    row = total("mlp", f"tpu_v1:{changed}")
    assert "measured_power_w" not in row
    assert row["chip_power_w"] > 28


def test_another_reading_of_the_same_machine_keeps_its_measured_power() -> None:
    assert total("mlp", "tpu_v1:issue=decoupled")["measured_power_w"] == 40


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("mlp", "--on", "tpu_v1:rows=0"), 3, "chip 'tpu_v1': rows=0 must be above 0"),
        (
            ("mlp", "--on", "tpu_v1:issue=inorder"),
            3,
            "chip 'tpu_v1': issue=inorder is not one of its choices; did you mean 'in_order'?",
        ),
        (
            ("mlp", "--on", "tpu_v1:issue=sometimes"),
            3,
            "chip 'tpu_v1': issue=sometimes is not one of its choices; there are: decoupled, in_order",
        ),
        (("mlp", "--on", "tpu_v1:row=7"), 2, "chip 'tpu_v1' has no parameter 'row'; did you mean 'rows'?"),
        (
            ("mlp", "--on", "tpu_v1", "--format", "fp32"),
            3,
            "chip 'tpu_v1' does not compute in fp32; it has int8, int8x16, int16",
        ),
        (
            ("mlp", "--on", "tpu_v1:load_percent=101"),
            3,
            "chip 'tpu_v1': load_percent=101 must lie between 0 and 100",
        ),
        (("mlp", "--on", "tpu_v1:load_percent=-1"), 3, "chip 'tpu_v1': load_percent=-1 must lie between 0 and 100"),
        (
            ("mlp", "--on", "tpu_v1:load_percent=50,rows=512"),
            3,
            "chip 'tpu_v1': load_percent=50 is of measured power, and with rows=512 none was measured",
        ),
        (("mlp", "--on", "tpu_v1:buffer_mib=1e-9"), 3, "chip 'tpu_v1': buffer_mib=1e-09 is less than a bit"),
        (
            ("mlp", "--on", "tpu_v1:fifo_tiles=1", "--format", "int16"),
            3,
            "chip 'tpu_v1': its weight FIFO does not hold one tile of int16 weights",
        ),
        (
            ("mlp", "--on", "tpu_v1:accumulators=1"),
            3,
            "chip 'tpu_v1': its accumulators do not hold 256 sums of 32 bits",
        ),
        (
            ("vgg:batch=64", "--on", "tpu_v1"),
            3,
            "network 'vgg16' needs 392.0 MiB for activations at batch 64, most of all for layer 'conv1_1', "
            "but the unified buffer holds 24.0 MiB; a smaller batch needs less",
        ),
    ],
)
def test_what_cannot_run_is_told_in_one_sentence(words: tuple[str, ...], code: int, said: str) -> None:
    ran = command("run", *words)
    assert (ran.code, ran.out, ran.err) == (code, "", f"hwsim: {said}\n")


@pytest.mark.parametrize(
    ("app", "percent"), [("MLP0", 21), ("MLP1", 76), ("LSTM0", 11), ("LSTM1", 20), ("CNN0", 51), ("CNN1", 14)]
)
def test_the_host_costs_time_but_less_than_the_paper_s_host_did(app: str, percent: int) -> None:
    # Table 5: what host and TPU took to interact, in percent of the TPU's own time; here the link alone takes time
    row = result(app).total
    assert row["inferences_per_s"] < row["inferences_per_s_without_host"]
    assert row["tops_with_host"] < row["tops"]
    assert 0 < row["seconds"] / row["seconds_without_host"] - 1 < percent / 100


def test_latency_and_throughput_both_grow_with_the_batch() -> None:
    rows = [total(f"tpu_apps:app=MLP0,batch={batch}") for batch in (25, 50, 100, 200, 250)]
    for quantity in ("seconds", "inferences_per_s", "inferences_per_s_without_host"):
        assert all(less[quantity] < more[quantity] for less, more in pairwise(rows))


def test_a_simulated_die_is_at_least_as_fast_as_one_with_the_host_s_own_time() -> None:
    # 272,312 and 330,560 inferences per second, where Table 4 prints 225,000 and 280,000, limited by the host's work
    rows = expectations("tpu_v1_table4")
    assert [row.batch for row in rows] == [200, 250]
    for row in rows:
        assert total(f"tpu_apps:app={row.network},batch={row.batch}")["inferences_per_s"] >= row.published

"""CPUs: blocks on threads, memory's levels, the library's fitted constants, and published and measured times."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import replace
from math import exp, inf, prod
from pathlib import Path
from statistics import mean, median

import pytest
from strategies import attention, conv, linear, network_of

import hwsim
from hwsim import catalog
from hwsim.arch import Accelerator
from hwsim.errors import InputError, UsageError
from hwsim.ir import Layer, Network, NetworkBuilder
from hwsim.mapping.cpu.around import surroundings
from hwsim.mapping.cpu.blocks import BlockMapping, Blocks
from hwsim.mapping.cpu.constants import Constants
from hwsim.mapping.cpu.machine import Curve, Machine
from hwsim.mapping.cpu.times import overlapped, seconds
from hwsim.mapping.cpu.work import columns, heaviest_share, threads_of, work_of
from hwsim.published import table

TABLE = Path(hwsim.__file__).parent / "measured" / "cpu_onnxruntime.csv"
VM = "cpu:sapphire_rapids_vm_2c"


def machine(threads: int = 1, keep_s: float = inf) -> Machine:
    """Return 1 GHz, 10 MACs per cycle; 100 KB at 8, 1 MB at 4, memory at 2 bytes/ns between all threads."""
    caches = ((1e5, 8e9), (1e6, 4e9))
    return Machine(threads, 10**9, {"fp32": 10.0}, {}, 16, caches, 2e9, 2e9, keep_s)


def only(network: Network) -> Layer:
    return network.layers[0]


def test_data_come_from_the_cache_that_holds_them() -> None:
    curve = Curve(machine())
    assert curve(7e4) == pytest.approx(1 / 8e9)
    assert curve(5e5) == pytest.approx(1 / 4e9)
    assert curve(1e8) == pytest.approx(1 / 2e9)


def test_two_threads_hold_twice_as_much_in_their_caches() -> None:
    assert Curve(machine(2))(1.4e6) == pytest.approx(Curve(machine(1))(7e5))


def test_a_larger_working_set_is_never_faster() -> None:
    curve = Curve(machine())
    costs = [curve(2.0**power) for power in range(8, 40)]
    assert costs == sorted(costs)


def test_a_shared_cache_loses_what_is_not_read_for_long() -> None:
    # after keep_s, 1/e of it is there: 1/e at 4 and the rest at 2 bytes/ns
    cost = Curve(machine()).kept(5e5, away_s=1e-3, keep_s=1e-3)
    assert cost == pytest.approx(exp(-1) / 4e9 + (1 - exp(-1)) / 2e9)
    assert Curve(machine()).kept(5e5, away_s=1e3, keep_s=inf) == pytest.approx(1 / 4e9)


def test_cold_caches_hold_nothing() -> None:
    assert Curve(machine()._replace(cold=True))(1.0) == 1 / 2e9


def test_filters_fill_whole_vectors_and_channels_whole_blocks() -> None:
    # 17 filters are two vectors of 16, 5 channels all there are; 7 x 11 outputs of 3 x 3 taps
    work = work_of(only(network_of(conv((1, 5, 7, 11), 17, 3, padding=1))), "fp32", 32, 16)
    assert work.macs == 32 * 5 * 9 * 7 * 11
    assert work.visit == 5 * 9


def test_columns_at_the_padding_and_left_over_are_outside_tiles() -> None:
    # 13 columns: one at either padding, 11 inside, of which 6 are a tile
    assert columns(only(network_of(conv((1, 5, 7, 13), 17, 3, padding=1)))) == (6, 7)


def test_int8_convolutions_of_three_channels_are_copied_into_a_matrix() -> None:
    # 25 outputs of 9 taps, each of 3 channels and 4 elements' time to start a copy; tiles take 64 products at once
    three, four = (work_of(only(network_of(conv((1, c, 7, 7), 5, 3))), "int8", 8, 16) for c in (3, 4))
    assert (three.op_class, three.gathered, three.rounded) == ("gathered", 25 * 9 * (3 + 4), 25 * 5)
    assert three.macs == 25 * 16 * 64
    # the matrix of one image, in bytes, and its sums of 4 bytes
    assert three.scratch_bytes == 25 * (27 + 4 * 5)
    assert (four.op_class, four.gathered, four.rounded) == ("conv", 0, 25 * 5)


def test_threads_share_rows_of_all_sets_so_that_one_has_the_full_set() -> None:
    # 5 vectors of filters are a set of 4 and one of 1, which costs 4/3: of two threads one has 4 of 5 1/3
    work = work_of(only(network_of(conv((1, 16, 7, 7), 80, 3))), "fp32", 32, 16)
    assert heaviest_share(work, 2) == pytest.approx(4 / (4 + 4 / 3))
    assert heaviest_share(work, 1) == 1


def test_a_product_takes_its_call_and_its_arithmetic_or_its_bytes() -> None:
    # 7 rows of 48 by 13: 4368 products at 10 per ns and half of them reached
    work = work_of(only(network_of(linear(7, 13, 48))), "fp32", 32, 16)
    constants = Constants(efficiency=0.5, call_s=1e-6)
    found = seconds(work, "fp32", constants, machine(), Curve(machine()), 0.0, 0.0)
    assert found == pytest.approx(1e-6 + 7 * 48 * 13 / 5e9)


def test_weights_that_every_thread_reads_are_not_shared_and_images_read_them_again() -> None:
    # int8 products of two images: each of two threads reads all weights, twice; those of a matrix are halved
    image = work_of(only(network_of(conv((2, 64, 5, 5), 64, 1))), "int8", 8, 16)
    assert image.passes == 2
    free = Constants(efficiency=1e9)
    made = machine(2)._replace(macs_per_cycle={"int8": 10.0})
    weights = image._replace(input_bytes=0.0, output_bytes=0.0)
    found = seconds(weights, "int8", free, made, Curve(made), 0.0, 0.0)
    assert found == pytest.approx(2 * 64 * 64 / 8e9, rel=0.01)
    assert seconds(weights._replace(passes=0), "int8", free, made, Curve(made), 0.0, 0.0) < 0.3 * found


def test_the_library_takes_a_thread_for_every_hundred_thousand_cycles_beyond_a_start() -> None:
    # a byte in, a byte out and a cycle: 1.34375 cycles; (1.34375 n - 100000) / 100000 + 0.9 reaches 2 at n = 156280
    def sum_of(width: int) -> Network:
        net = NetworkBuilder("sum")
        net.elementwise("add", net.input("x", (1, width)), net.input("y", (1, width)))
        return net.build()

    few, many = (work_of(only(sum_of(n)), "int8", 8, 16) for n in (156_279, 156_281))
    assert (threads_of(few, 18), threads_of(many, 18)) == (1, 2)
    assert threads_of(many, 1) == 1


def test_parts_of_one_tensor_are_taken_in_the_call_of_the_last() -> None:
    around = surroundings(catalog.network("lstm:hidden=7,inputs=5,steps=3"))
    assert {name.split(".")[1]: one.into for name, one in around.items() if name.endswith(".sum")} == {
        "i": "lstm1.g.sum", "f": "lstm1.g.sum", "o": "lstm1.g.sum", "g": "",
    }  # fmt: skip
    assert around["lstm1.g.sum"].pieces == 4
    assert around["lstm1.gates"].behind


def test_times_overlap_between_the_longer_and_the_sum() -> None:
    assert overlapped(3.0, 4.0, 1.0) == pytest.approx(7)
    assert overlapped(3.0, 4.0, 2.0) == pytest.approx(5)
    assert overlapped(3.0, 4.0, inf) == 4


SMALL = network_of(
    conv((2, 6, 11, 7), 4, 3, stride=2, padding=(1, 0, 2, 1), groups=2),
    conv((1, 7, 13, 13), 7, 3, padding=1, groups=7),
    conv((1, 3, 29, 31), 70, (1, 3), dilation=(1, 2)),
    linear(1, 131, 67),
    linear(211, 17, 83),
    attention(3, 7, 5, 11),
    linear(2, 13, 11, steps=5),
)


@pytest.mark.parametrize("chip", ["cpu", VM, "cpu:i7_5930k", "cpu:sapphire_rapids,calibration=none"])
@pytest.mark.parametrize("fmt", ["fp32", "int8"])
def test_stepped_blocks_find_the_cycles_and_counts_of_the_closed_form(chip: str, fmt: str) -> None:
    closed, stepped = (hwsim.simulate(SMALL, on=chip, format=fmt, fidelity=way) for way in ("closed", "stepped"))
    assert stepped.rows == closed.rows


def test_a_block_takes_whole_vectors() -> None:
    # 7 rows, 17 of 32 lanes, 5 products each, 10 per cycle
    blocks = Blocks("K", "NPQ", 1, 96, 64, 16, 10)
    assert blocks.block_cycles(7, 17, 5) == 7 * 32 * 5 // 10


def test_threads_share_positions_or_where_those_are_few_filters() -> None:
    mappings = [layer.mapping for layer in hwsim.simulate(SMALL, on="cpu").layers if layer.mapping]
    splits = [mapping.blocks.split for mapping in mappings if isinstance(mapping, BlockMapping)]
    assert splits[3:5] == ["K", "NPQ"]
    for mapping in mappings:
        mapping.check()


@pytest.mark.parametrize("network", ["alexnet", "mobilenet", "lstm", "mlp:batch=7"])
@pytest.mark.parametrize("name", ["sapphire_rapids_vm_2c,caches=cold", "i7_5930k", "haswell_e5_2699v3,caches=cold"])
def test_from_cold_caches_every_operand_crosses_the_chips_edge(network: str, name: str) -> None:
    result = hwsim.simulate(network, on=f"cpu:{name}", format="fp32")
    rate = result.chip.off_chip.read_bits_per_cycle
    assert rate is not None
    for one in result.layers:
        if one.layer.is_mac:
            words = one.layer.weight_elements + one.layer.input_elements_used + one.layer.output_elements
            assert one.timing.total_cycles * rate >= 32 * words


@pytest.mark.parametrize("name", ["sapphire_rapids_vm_2c", "i7_5930k", "haswell_e5_2699v3", "sapphire_rapids"])
def test_more_threads_bandwidth_or_clock_make_no_network_slower(name: str) -> None:
    base = hwsim.simulate("resnet:depth=18", on=f"cpu:{name}", format="fp32").total["seconds"]
    chip = catalog.chip(f"cpu:{name}")
    given = chip.parameters
    for more in (f"bandwidth_gb_s={2 * float(str(given['bandwidth_gb_s']))}",
                 f"clock_mhz={2 * float(str(given['clock_mhz']))}"):  # fmt: skip
        assert hwsim.simulate("resnet:depth=18", on=f"cpu:{name},{more}", format="fp32").total["seconds"] <= base


def test_the_sums_of_residual_blocks_are_done_in_a_convolution_in_fp32_only() -> None:
    by_format = {fmt: hwsim.simulate("resnet:depth=18", on=VM, format=fmt) for fmt in ("fp32", "int8")}
    cycles = {
        fmt: {one.layer.name: one.timing.total_cycles for one in result.layers} for fmt, result in by_format.items()
    }
    assert cycles["fp32"]["conv2_1.add"] == 0
    assert cycles["int8"]["conv2_1.add"] > 0


def test_vectors_by_matrices_on_the_i7_take_eies_table_iv_within_half_as_much_again() -> None:
    """Nothing is fitted: one core streams the matrix, 16 lines of 64 bytes at once, 68 ns each."""
    told = {
        row["layer"]: float(row["latency_us"])
        for row in table("eie_table4")
        if row["platform"] == "Core i7-5930K" and row["batch"] == "1" and row["matrix"] == "dense"
    }
    result = hwsim.simulate("eie_layers", on="cpu:i7_5930k", format="fp32")
    ratios = {
        one.layer.name: 1e6 * one.timing.total_cycles / one.chip.clock_hz / told[one.layer.name]
        for one in result.layers
        if one.layer.name in told and one.layer.is_mac
    }
    assert len(ratios) == 6
    assert all(1 / 1.5 <= ratio <= 1.5 for ratio in ratios.values()), ratios


def test_a_k80_runs_the_tpu_papers_networks_faster_than_a_haswell_on_average() -> None:
    """Jouppi et al., ISCA 2017, Table 6: 1.1 or 1.9 times, by either mean; MLP1 and LSTM0 were slower."""
    ratios = [
        hwsim.simulate(f"tpu_apps:app={app}", on="cpu", format="fp32").total["seconds"]
        / hwsim.simulate(f"tpu_apps:app={app}", on="gpu:k80", format="fp32").total["seconds"]
        for app in ("mlp0", "mlp1", "lstm0", "lstm1", "cnn0", "cnn1")
    ]
    assert prod(ratios) > 1


def test_matrices_that_fit_a_haswells_last_cache_do_not_come_from_memory() -> None:
    # 4 x 1118 x 1118 x 4 bytes are 20 MB of 45 MiB: more than 51 GB/s can bring; those of MLP0, 80 MB, cannot
    mlp1, mlp0 = (
        hwsim.simulate(f"tpu_apps:app={app},batch=1", on="cpu:caches=warm", format="fp32") for app in ("mlp1", "mlp0")
    )
    assert 4 * 4 * 1118**2 / mlp1.total["seconds"] > 51e9
    assert 4 * 5 * 2000**2 / mlp0.total["seconds"] < 51e9


def whole_networks() -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row["layer"] and row["threads"] == "2":
                found[row["network"], row["format"]].append(float(row["seconds"]))
    return {key: median(values) for key, values in found.items()}


@pytest.mark.parametrize("fmt", ["fp32", "int8"])
@pytest.mark.parametrize("network", ["alexnet", "resnet:depth=50", "mobilenet:version=2"])
def test_whole_networks_take_what_was_measured_within_a_tenth(network: str, fmt: str) -> None:
    """No layer of them is among the forty shapes that constants were fitted on."""
    result = hwsim.simulate(network, on=VM, format=fmt)
    assert result.total["latency_seconds"] == pytest.approx(whole_networks()[network, fmt], rel=0.1)


def test_convolutions_that_were_not_fitted_on_are_within_twelve_percent_in_fp32() -> None:
    """No network's fp32 convolutions, direct ones and 1x1, are off by more on average."""
    told: dict[tuple[str, str], list[float]] = defaultdict(list)
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["format"] == "fp32" and row["threads"] == "2" and row["kind"] == "conv" and row["G"] == "1":
                told[row["network"], row["layer"]].append(float(row["seconds"]))
    errors = []
    for network in ("resnet:depth=18", "resnet:depth=50", "vgg", "mobilenet:version=1", "mobilenet:version=2"):
        for one in hwsim.simulate(network, on=VM, format="fp32").layers:
            values = told.get((network, one.layer.name), [])
            if values and median(values) >= 1e-5:
                errors.append(abs(one.timing.total_cycles / one.chip.clock_hz / median(values) - 1))
    assert len(errors) > 100
    assert mean(errors) <= 0.12


def test_no_calibrated_shape_is_in_a_network_that_is_told() -> None:
    kinds = ("kind", "N", "G", "K", "C", "P", "Q", "R", "S", "stride")
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] in ("conv", "matmul")]
    fitted = {tuple(row[name] for name in kinds) for row in rows if row["network"].startswith("calibration")}
    others = {tuple(row[name] for name in kinds) for row in rows if not row["network"].startswith("calibration")}
    assert len(fitted) <= 40
    assert not fitted & others


def test_a_host_that_is_not_calibrated_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path))
    assert any("--calibrate" in note for note in hwsim.simulate("mlp", on="cpu:host").notes)


def test_a_calibrated_host_reads_its_own_constants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwsim.measured.host import cache_path, detect, identity

    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path))
    facts = {**detect(), "clock_mhz": 1000.0, "bandwidth_gb_s": 7.0, "tdp_w": 11.0}
    case = {
        "library": "onnxruntime",
        "op_class": "gemm",
        "format": "fp32",
        "shapes": 3,
        "constants": {"efficiency": 0.5},
    }
    said = {"identity": identity(), "year": 2026, "date": "2026-11-22", "facts": facts, "cases": [case]}
    cache_path().write_text(json.dumps(said), encoding="utf-8")
    chip: Accelerator = catalog.chip("cpu:host")
    assert chip.clock_hz == 10**9
    assert chip.options["cases"]["gemm", "fp32"].constants == Constants(efficiency=0.5)
    other = {**said, "identity": {**identity(), "stepping": "another"}}
    unknown = {**said, "cases": [{**case, "constants": {"speed": 1.0}}]}
    endless = {**said, "facts": {**facts, "clock_mhz": inf}}
    for text, why in (
        ("not json", "damaged"),
        ("[" * 100_000, "damaged"),
        (json.dumps(said) + " " * 2**20, "damaged"),
        (json.dumps(unknown), "damaged"),
        (json.dumps(endless), "damaged"),
        (json.dumps(other), "of another machine"),
    ):
        cache_path().write_text(text, encoding="utf-8")
        (note,) = catalog.chip("cpu:host").options["notes"]
        assert "--calibrate" in note
        assert why in note


@pytest.mark.parametrize(
    "spec", ["cpu:pentium", "cpu:library=mlk", "cpu:caches=lukewarm", "cpu:threads=-3", "cpu:i7_5930k,threads=7"]
)
def test_what_is_no_choice_of_the_chip_is_refused(spec: str) -> None:
    with pytest.raises((InputError, UsageError), match="cpu"):
        catalog.chip(spec)


def test_a_batch_of_seven_of_a_vector_reads_its_matrix_once() -> None:
    one = hwsim.simulate(network_of(linear(1, 4099, 4099)), on="cpu").total["seconds"]
    seven = hwsim.simulate(network_of(linear(7, 4099, 4099)), on="cpu").total["seconds"]
    assert seven < 2 * one


def test_energy_is_the_power_of_a_busy_die_and_actions() -> None:
    result = hwsim.simulate("mlp", on="cpu")
    idle = sum(one.energy_pj["idle"] for one in result.layers)
    assert idle == pytest.approx(145 * result.total["seconds"] * 1e12)
    assert replace(result.layers[0]).total_energy_pj > result.layers[0].energy_pj["idle"]

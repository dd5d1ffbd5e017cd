"""The gpu chip: presets from datasheets, constants with their sources, bounds, power, and what papers measured."""

from __future__ import annotations

import csv
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import conv, layers, linear, network_of

import hwsim
from hwsim import catalog
from hwsim.chips.gpu import LINEAGE, cases_of, datasheet, formats_of
from hwsim.errors import InputError
from hwsim.ir import Layer, NetworkBuilder
from hwsim.mapping.gpu.attention import decode_cycles, found_in
from hwsim.mapping.gpu.constants import CHOSEN
from hwsim.mapping.gpu.kernel import machine_of
from hwsim.measured import CALIBRATIONS, calibrated_machines, calibrations
from hwsim.published import table

MEASURED = ("a100", "a100_pcie_40gb", "a100_pcie_80gb", "h100", "t4", "titan_x", "v100", "v100_pcie")


@pytest.mark.parametrize("machine", LINEAGE)
def test_the_peak_of_every_format_is_the_datasheets(machine: str) -> None:
    chip, (facts, sources) = catalog.chip(f"gpu:{machine}"), datasheet(machine)
    for fmt in chip.formats:
        peak = facts.get(f"{fmt}_tflops") or facts[f"{fmt}_tops"]
        number_format = catalog.number_format(fmt)
        assert 2 * chip.peak_macs_per_cycle(number_format) * chip.clock_hz == pytest.approx(peak * 1e12, rel=1e-5)
    assert chip.off_chip_rate is not None
    bits, cycles = chip.off_chip_rate
    assert bits / cycles * chip.clock_hz == pytest.approx(8e9 * facts["bandwidth_gb_s"])
    assert set(facts) == set(sources)


def test_formats_are_those_of_the_generation() -> None:
    assert catalog.chip("gpu:titan_x").formats == ("fp32",)
    assert catalog.chip("gpu:v100").formats == ("fp32", "fp16")
    assert catalog.chip("gpu:a100").formats == ("bf16", "fp16", "int8", "tf32", "fp32")
    assert "fp8" in catalog.chip("gpu:h100").formats


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gpu:h10", "machine=h10 is not one of its choices; did you mean 'h100'?"),
        ("gpu:h100,library=graf", "library=graf is not one of its choices; did you mean 'graph'?"),
        ("gpu:h100,calibration=some", "calibration=some is not one of its choices"),
        ("gpu:h100,tdp_w=-1", "tdp_w=-1 must be above 0"),
        ("gpu:h100,bandwidth_gb_s=inf", "bandwidth_gb_s=inf must be above 0 and finite"),
        ("gpu:h100,clock_mhz=1e-9", "clock_mhz=1e-09 is less than 1 Hz"),
        ("gpu:h100,clock_mhz=1e30", "clock_mhz=1e+30 leaves less than 2^-40 bits per cycle of bandwidth_gb_s=3350"),
        ("gpu:h100,clock_mhz=1e305", "clock_mhz=1e+305 is not finite in Hz"),
        ("gpu:h100,bandwidth_gb_s=1e-30", "bandwidth_gb_s=1e-30 is less than 2^-40 bits per cycle"),
        ("gpu:h100,tdp_w=350", "tdp_w=350 is not above the 350 W that 'h100' draws while kernels run"),
        ("gpu:h100,l2_mib=1e-9", "l2_mib=1e-09 is less than a bit"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_in_a_sentence(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        catalog.chip(spec)


def test_every_fitted_constant_is_listed_with_what_it_was_fitted_on() -> None:
    sources = {row["what"]: row["source"] for row in hwsim.simulate("mlp:hidden=13", on="gpu:h100").sources}
    line = sources["gpu constants of gemm in bf16"]
    fitted = calibrations("h100")["graph", "gemm", "bf16"]
    assert "ai-dynamo/aiconfigurator 2025" in line
    assert "fitted on 40 shapes" in line
    for name, value in fitted.constants.items():
        assert f"{name} {value:.4g}" in line


@pytest.mark.parametrize("machine", ["k20m", "k80", "tegra_k1"])
def test_constants_of_an_unmeasured_machine_are_assumed_and_name_their_owner(machine: str) -> None:
    cases = cases_of(machine, "direct", "fitted", datasheet(machine)[0])
    assert all(case.source.is_assumed for case in cases.values())
    assert "a calibration by hand, of no measured kernel" in cases["gemm", "fp32"].source.locator
    assert "K80's roofline in Jouppi et al., ISCA 2017" in cases["gemm", "fp32"].source.locator
    assert "v100_pcie's elementwise in fp32" in cases["elementwise", "fp32"].source.locator


def test_h200_has_h100s_constants_and_its_own_bandwidth() -> None:
    h100, h200 = (cases_of(name, "graph", "fitted", datasheet(name)[0]) for name in ("h100", "h200"))
    assert h200["gemm", "bf16"].values == h100["gemm", "bf16"].values
    assert h200["gemm", "bf16"].source.is_assumed
    network = network_of(linear(1, 8191, 8191))
    times = [hwsim.simulate(network, on=f"gpu:{name}").total["seconds"] for name in ("h100", "h200")]
    assert times[1] < times[0]


def test_shipped_calibrations_are_of_presets_and_on_at_most_40_shapes_a_case() -> None:
    assert set(MEASURED) <= set(calibrated_machines())
    for machine in MEASURED:
        with (CALIBRATIONS / f"{machine}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert all(0 <= int(row["shapes"]) <= 40 and row["work"] for row in rows)
        for row in rows:
            unfitted = row["constant"] in CHOSEN or row["constant"].startswith("tile_")
            assert unfitted == (row["shapes"] == "0") == row["locator"].endswith("not fitted"), row["constant"]


def test_constants_that_were_chosen_are_listed_apart_from_fitted_ones() -> None:
    sources = {row["what"]: row["source"] for row in hwsim.simulate("mlp:hidden=13", on="gpu:titan_x").sources}
    fitted, _, chosen = sources["gpu constants of gemm in fp32"].partition("; chosen, not fitted: ")
    assert "fitted on 40 shapes: efficiency 0.79" in fitted
    assert chosen == "tile_128x128 1, tile_64x128 1, tile_128x64 1, tile_8x128 1, narrow_columns 8"
    borrowed = sources["gpu constants of elementwise in fp32"]
    assert borrowed.startswith("assumed: v100_pcie's elementwise")
    assert borrowed.endswith("; chosen, not fitted: launch_us 4")


def test_a_matrix_by_a_vector_has_one_measured_row_that_other_machines_borrow() -> None:
    own, other, bare = (
        cases_of(machine, library, calibration, datasheet(machine)[0])["gemv", "fp32"]
        for machine, library, calibration in (
            ("titan_x", "direct", "fitted"), ("h100", "graph", "fitted"), ("titan_x", "direct", "none"),
        )
    )  # fmt: skip
    # (1024 x 500000 + 8 x 500000 + 8 x 1024) words of 4 bytes in 7.321 ms are 281.93 of 336 GB/s
    assert own.values[0] == pytest.approx(2064.032768 / 7.321 / 336, rel=1e-5)
    assert own.values[1] == 4.0
    assert (own.source.work, own.shapes, own.source.is_assumed) == ("baidu-research/DeepBench", 1, False)
    assert other.values == (own.values[0], 1.3)
    assert other.source.is_assumed
    assert other.source.locator.startswith("titan_x's gemv in fp32 by direct (baidu-research/DeepBench")
    assert bare.values == (1.0, 0.0)


@pytest.mark.parametrize("machine", ["h100", "titan_x"])
def test_no_block_of_a_matrix_by_a_vector_takes_no_time(machine: str) -> None:
    one = hwsim.simulate(network_of(linear(1, 3001, 501)), on=f"gpu:{machine},calibration=none", format="fp32")
    assert one.layers[0].mapping.kernel.block_cycles > 0  # type: ignore[union-attr]
    stepped = hwsim.simulate(
        network_of(linear(1, 3001, 501)), on=f"gpu:{machine},calibration=none", format="fp32", fidelity="stepped"
    )
    assert stepped.rows == one.rows


def test_the_datasheet_alone_is_faster_than_what_is_measured() -> None:
    for network in ("resnet:depth=50", "lstm", "attention"):
        fitted, bare = (hwsim.simulate(network, on=f"gpu:h100,calibration={one}") for one in ("fitted", "none"))
        assert bare.total["seconds"] < fitted.total["seconds"]


def test_an_eager_framework_runs_every_operator_as_a_kernel_of_its_own() -> None:
    graph, eager = (hwsim.simulate("resnet:depth=50", on=f"gpu:h100,library={one}") for one in ("graph", "eager"))
    assert any(row["fused_into"] for row in graph.rows)
    assert not any(row["fused_into"] for row in eager.rows)
    assert eager.total["seconds"] > 3 * graph.total["seconds"]


def test_an_addition_at_the_datasheets_bandwidth_moves_three_tensors() -> None:
    net = NetworkBuilder("sum")
    net.elementwise("sum", net.input("a", (1, 1 << 20)), net.input("b", (1, 1 << 20)))
    (row,) = hwsim.simulate(net.build(), on="gpu:h100,calibration=none").rows
    assert row["total_cycles"] == -(-3 * 2 * 2**20 * 1830 // 3350e3)
    assert row["algorithm"] == "elementwise"


@settings(max_examples=60, deadline=None)
@given(layers(60), st.sampled_from([("h100", "bf16"), ("v100_pcie", "fp32"), ("titan_x", "fp32"), ("t4", "int8")]))
def test_no_layer_is_faster_than_peak_rate_or_bandwidth(layer: Layer, on: tuple[str, str]) -> None:
    chip = catalog.chip(f"gpu:{on[0]}")
    one = hwsim.simulate(network_of(layer), on=chip, format=on[1])
    (row,), (result,) = one.rows, one.layers
    assert row["total_cycles"] * chip.peak_macs_per_cycle(one.fmt) >= row["macs_done"]
    moved = row["dram_read_bytes"] + row["dram_write_bytes"]
    assert chip.off_chip_rate is not None
    assert row["total_cycles"] * chip.off_chip_rate[0] >= 8 * (moved - 2) * chip.off_chip_rate[1]
    assert result.mapping is not None
    result.mapping.check()


@pytest.mark.parametrize("machine", LINEAGE)
def test_no_machine_draws_more_than_its_tdp(machine: str) -> None:
    facts, _ = datasheet(machine)
    network = network_of(linear(8192, 8192, 8192), linear(1, 8192, 8192), conv((8, 256, 28, 28), 256, 3, padding=1))
    for fmt in formats_of(facts):
        one = hwsim.simulate(network, on=f"gpu:{machine}", format=fmt)
        for layer in one.layers:
            watts = layer.total_energy_pj * 1e-12 / (layer.timing.total_cycles / one.chip.clock_hz)
            assert 0.5 * facts["tdp_w"] <= watts <= 1.0001 * facts["tdp_w"], (fmt, layer.layer.name)


def test_less_power_throttles_a_large_product_and_says_so() -> None:
    network = network_of(linear(8192, 8192, 8192))
    full, half = (hwsim.simulate(network, on=f"gpu:h100,tdp_w={watts}") for watts in (700, 500))
    assert half.total["seconds"] > 1.5 * full.total["seconds"]
    assert half.rows[0]["throttled_fraction"] > full.rows[0]["throttled_fraction"] > 0
    assert half.total["average_power_w"] <= 500.1
    # the limit leaves the machine what it is: energies stay, and what it draws while kernels run
    assert half.chip.energy == full.chip.energy
    assert half.layers[0].energy_pj["running"] == pytest.approx(350 * half.total["seconds"] * 1e12)
    assert "1 layers run below their speed because the chip's power is limited" in half.notes


def test_winograd_multiplies_less_often_than_its_layer_and_may_be_faster_than_the_peak() -> None:
    network = network_of(conv((16, 256, 56, 56), 256, 3, padding=1), conv((16, 256, 56, 56), 256, 1))
    one = hwsim.simulate(network, on="gpu:v100", format="fp32")
    (wide, pointwise), (result, _) = one.rows, one.layers
    assert wide["algorithm"] == "winograd"
    # 14 x 14 tiles of 4 x 4 outputs of each image take 36 products where the filter takes 144
    assert wide["macs"] == 16 * 56 * 56 * 9 * 256 * 256
    assert wide["macs_done"] == 16 * 14 * 14 * 36 * 256 * 256 == wide["macs"] // 4
    peak = one.chip.peak_macs_per_cycle(one.fmt)
    assert wide["macs_done"] < wide["total_cycles"] * peak < wide["macs"]
    assert wide["utilisation"] == pytest.approx(wide["macs_done"] / wide["total_cycles"] / peak)
    assert result.counts["mac", "fp32", "output"] == result.macs_done == wide["macs_done"]
    assert pointwise["macs_done"] == pointwise["macs"]


def test_fused_attention_keeps_the_scores_on_the_chip() -> None:
    apart, fused = (hwsim.simulate("attention", on=f"gpu:h100{one}") for one in (",attention=separate", ""))
    (found,) = found_in(fused.network)
    assert [layer.name for layer in found.all_layers] == [row["layer"] for row in fused.rows]
    heads, queries, keys, width = found.scores.G, found.scores.N, found.scores.K, found.scores.C
    moved = sum(row["dram_read_bytes"] + row["dram_write_bytes"] for row in fused.rows)
    assert moved == 2 * heads * width * (2 * queries + 2 * keys)
    assert moved < sum(row["dram_read_bytes"] + row["dram_write_bytes"] for row in apart.rows)
    assert hwsim.simulate("attention", on="gpu:h100", format="fp32").rows[0]["algorithm"] == "gemm"
    assert hwsim.simulate("attention", on="gpu:h100,library=direct").rows[0]["algorithm"] == "gemm"


def test_attention_that_the_library_cannot_fuse_is_noted() -> None:
    notes = {
        fmt: [note for note in hwsim.simulate("attention", on="gpu:h100", format=fmt).notes if "attention=" in note]
        for fmt in ("bf16", "fp32")
    }
    assert notes["bf16"] == []
    assert notes["fp32"] == ["attention=fused has no kernel in fp32: 1 attention computed by a kernel per product"]


def test_one_query_takes_the_kernel_of_decoding() -> None:
    net = NetworkBuilder("decode")
    queries, keys, values = net.input("q", (3, 1, 64)), net.input("k", (3, 64, 512)), net.input("v", (3, 512, 64))
    net.matmul("sums", net.softmax("softmax", net.matmul("scores", queries, keys)), values)
    one = hwsim.simulate(net.build(), on="gpu:h100", format="bf16")
    machine, case = machine_of(one.chip, "bf16"), one.chip.options["cases"]["attention", "bf16"]
    expected = decode_cycles(1, 512, 3, 3, 64, 2, machine, case)
    assert [row["algorithm"] for row in one.rows] == ["attention", "", "attention"]
    assert sum(row["total_cycles"] for row in one.rows) == pytest.approx(expected, abs=1)


def test_weights_of_a_recurrent_layer_stay_in_l2_if_they_fit() -> None:
    small, large = (hwsim.simulate(network_of(linear(3, 512, size, steps=7)), on="gpu:v100") for size in (512, 4096))
    assert small.layers[0].counts["dram", "read", "weight"] == 512 * 512
    assert large.layers[0].counts["dram", "read", "weight"] == 7 * 512 * 4096


DENSE = [
    (row["layer"], float(row["latency_us"]))
    for row in table("eie_table4")
    if (row["platform"], row["batch"], row["matrix"], row["time"]) == ("Titan X", "1", "dense", "measured")
]
SHAPES = {row["layer"]: (int(row["inputs"]), int(row["outputs"])) for row in table("eie_table3")}


@pytest.mark.parametrize(("layer", "measured_us"), DENSE)
def test_titan_x_streams_the_weights_of_eies_layers_in_the_time_measured(layer: str, measured_us: float) -> None:
    """Han et al., EIE, ISCA 2016, Table IV; no constant was fitted to it, its 10 % are the issue's."""
    inputs, outputs = SHAPES[layer]
    one = hwsim.simulate(network_of(linear(1, inputs, outputs)), on="gpu:titan_x")
    assert one.rows[0]["algorithm"] == "gemv"
    assert one.total["seconds"] * 1e6 == pytest.approx(measured_us, rel=0.1)


def test_the_timeline_covers_every_cycle() -> None:
    one = hwsim.simulate("resnet:depth=18", on="gpu:v100")
    engine = catalog.engine("gpu")
    for layer, spans in zip(one.layers, engine.spans(one), strict=True):
        found = list(spans)
        assert sum(span.cycles for span in found) == layer.timing.total_cycles
        assert [span.start_cycle for span in found] == sorted(span.start_cycle for span in found)

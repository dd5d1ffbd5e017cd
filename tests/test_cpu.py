"""CPUs: blocks on threads, what crosses the edge, what operators cost, and where each number is from."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from strategies import attention, conv, linear, network_of

import hwsim
from hwsim import catalog
from hwsim.engine import cpu as engine
from hwsim.errors import InputError, UsageError
from hwsim.ir import Network, NetworkBuilder
from hwsim.mapping.cpu.blocks import BlockMapping, Blocks
from hwsim.published import table

VM = "cpu:sapphire_rapids_vm_2c"


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


def running_w(spec: str) -> float:
    """Return what a chip draws while it runs, whatever it does."""
    chip = catalog.chip(spec)
    return chip.energy.by_action["running", "cycle"].energy_pj * 1e-12 * chip.clock_hz


def total_cycles(network: Network, chip: str, fmt: str = "fp32") -> list[int]:
    return [one.timing.total_cycles for one in hwsim.simulate(network, on=chip, format=fmt).layers]


def shuffled() -> Network:
    """Return a change of layout that moves 7 x 13 x 17 elements, and one that leaves them where they are."""
    net = NetworkBuilder("layouts")
    x = net.input("x", (7, 13, 17))
    net.reshape("flat", net.transpose("turned", x, (0, 2, 1)), (7, 221))
    return net.build()


@pytest.mark.parametrize("caches", ["warm", "cold"])
def test_a_change_of_layout_costs_its_call_and_what_it_moves_whatever_the_caches_hold(caches: str) -> None:
    chip = f"{VM},caches={caches}"
    turned, flat = hwsim.simulate(shuffled(), on=chip, format="fp32").layers
    call_s = flat.chip.options["cases"]["layout", "fp32"].constants.call_s
    assert turned.timing.total_cycles > flat.timing.total_cycles >= call_s * flat.chip.clock_hz
    assert flat.counts == {("running", "cycle", ""): flat.timing.total_cycles}
    # read and written once, each word from memory where caches are cold
    assert [turned.counts.get(("dram", what, operand), 0) for what, operand in (("read", "input"), ("write", "output"))
            ] == [7 * 13 * 17 * (caches == "cold")] * 2  # fmt: skip


@pytest.mark.parametrize("chip", ["cpu", VM, "cpu:i7_5930k", "cpu:sapphire_rapids,calibration=none"])
@pytest.mark.parametrize("fmt", ["fp32", "int8"])
def test_no_operator_does_more_in_a_cycle_than_there_are_lanes(chip: str, fmt: str) -> None:
    for network in ("lstm:hidden=131,inputs=17,steps=3", "squeezenet", "mobilenet:version=2"):
        for one in hwsim.simulate(network, on=chip, format=fmt).layers:
            if not one.layer.is_mac and one.timing.total_cycles:
                assert one.timing.total_cycles * one.chip.vector_lanes >= one.layer.operations
                assert one.timing.compute_cycles * one.chip.vector_lanes >= one.layer.operations


def test_a_vector_by_a_matrix_is_on_one_thread_of_mkl_with_one_call() -> None:
    vector, rows = (
        hwsim.simulate(network_of(linear(n, 131, 67)), on="cpu:i7_5930k", format="fp32").layers[0] for n in (1, 2)
    )
    threads = [one.mapping.blocks.threads for one in (vector, rows) if isinstance(one.mapping, BlockMapping)]
    assert threads == [1, 6]
    # 67 filters are 9 vectors of 8, 131 products each, 16 of which a core does per cycle: 64 filters in blocks of 32
    assert vector.timing.compute_cycles == 2 * 131 * 32 // 16 + -(-131 * 8 // 16)
    call_s = vector.chip.options["cases"]["gemm", "fp32"].constants.call_s
    assert vector.timing.fill_cycles == -(-call_s * vector.chip.clock_hz // 1)


def test_the_timeline_of_a_product_has_its_call_and_says_how_many_threads_compute() -> None:
    def drawn(rows: int) -> list[tuple[str, str]]:
        result = hwsim.simulate(network_of(linear(rows, 1031, 67)), on="cpu:i7_5930k", format="fp32")
        (spans,) = map(list, engine.spans(result))
        assert sum(one.cycles for one in spans) == result.layers[0].timing.total_cycles
        assert [one.start_cycle for one in spans[:2]] == [0, spans[0].cycles]
        return [(one.unit, one.name) for one in spans]

    assert drawn(1) == [("library", "call"), ("cores", "blocks on 1 thread"), ("cores", "memory")]
    assert drawn(2)[:2] == [("library", "call"), ("cores", "blocks on 6 threads")]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cpu:clock_mhz=1e-9", "is less than 1 Hz"),
        ("cpu:bandwidth_gb_s=1e-30", "bandwidth_gb_s=1e-30 is less than 2^-40 bits per cycle"),
    ],
)
def test_what_is_next_to_nothing_is_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        catalog.chip(spec)
    assert said in str(error.value)


def test_energy_is_the_power_of_a_busy_die_and_actions() -> None:
    result = hwsim.simulate("mlp", on="cpu")
    running = sum(one.energy_pj["running"] for one in result.layers)
    assert running == pytest.approx(145 * result.total["seconds"] * 1e12)
    assert replace(result.layers[0]).total_energy_pj > result.layers[0].energy_pj["running"]


def test_busy_power_is_published_in_proportion_to_another_tdp_and_half_of_that_where_it_is_not() -> None:
    assert running_w("cpu:i7_5930k") == pytest.approx(73)
    assert running_w("cpu:i7_5930k,tdp_w=70") == pytest.approx(73 * 70 / 140)
    assert running_w("cpu:sapphire_rapids,tdp_w=300") == pytest.approx(150)


def test_the_power_of_every_machine_has_the_source_of_its_own_row() -> None:
    said = {name: str(catalog.chip(f"cpu:{name}").sources["power while running"]) for name in (
        "haswell_e5_2699v3", "i7_5930k", "i7_5930k,tdp_w=70", "sapphire_rapids",
    )}  # fmt: skip
    assert "Jouppi" in said["haswell_e5_2699v3"]
    assert "EIE" in said["i7_5930k"]
    assert "Jouppi" not in said["i7_5930k"]
    assert "73 W at 140 W" in said["i7_5930k,tdp_w=70"]
    assert said["sapphire_rapids"].startswith("assumed: half of the TDP")


def test_no_quantity_of_a_published_machine_is_said_twice() -> None:
    said = [(row["machine"], row["quantity"]) for row in table("cpus")]
    assert len(said) == len(set(said))


def test_facts_of_the_measured_machine_say_what_was_measured_and_what_fitted() -> None:
    sources = catalog.chip(VM).sources
    assert "fitted together with gemm" in str(sources["keep_s"])
    assert "fitted on 5 shapes" in str(sources["keep_s"])
    assert "less its layer" in str(sources["call_s"])
    assert sources["tdp_w"].is_assumed
    assert sources["l3_bytes"].is_assumed
    assert not sources["core_bytes_s"].is_assumed
    # what two cores get of memory is what their datasheet value is taken from
    assert sources["bandwidth_gb_s"] == sources["memory_bytes_s"]


def test_without_calibration_nothing_that_was_fitted_is_left() -> None:
    chip = catalog.chip(f"{VM},calibration=none")
    assert chip.options["machine"].keep_s == inf
    assert chip.options["call_s"] == 0
    assert "keep_s" not in chip.sources

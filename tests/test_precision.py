"""Formats of layers: what each layer runs in, what is converted between them, and what a chip without one does."""

from __future__ import annotations

import pytest
from command import answer
from test_cli_errors import refused

import hwsim
from hwsim import LayerResult, NetworkResult, catalog
from hwsim.errors import InputError, UsageError
from hwsim.formats import NumberFormat
from hwsim.ir import Network, NetworkBuilder
from hwsim.precision import asked_formats, chips_running, nearest, precision

SYSTOLIC = "systolic:rows=5,cols=3"


def chain() -> Network:
    """Return 7 -> 11 -> 13 -> 17 with a ReLU behind the first product."""
    net = NetworkBuilder("chain")
    x = net.linear("one", net.input("x", (2, 7)), 11)
    x = net.linear("two", net.activation("relu", x), 13)
    net.linear("three", x, 17)
    return net.build()


def fork() -> Network:
    """Return a product that two others read, whose results are added."""
    net = NetworkBuilder("fork")
    x = net.linear("stem", net.input("x", (2, 7)), 11)
    left, right = net.linear("left", x, 13), net.linear("right", x, 13)
    net.elementwise("sum", left, right)
    return net.build()


def run(network: Network, fmt: str, chip: str = SYSTOLIC, **parameters: str) -> NetworkResult:
    return hwsim.simulate(network, on=chip, format=fmt, **parameters)  # type: ignore[arg-type]


def by_name(result: NetworkResult) -> dict[str, LayerResult]:
    return {layer.layer.name: layer for layer in result.layers}


def formats(result: NetworkResult) -> dict[str, str]:
    return {row["layer"]: row["format"] for row in result.rows}


def test_each_layer_runs_in_its_own_format_and_its_row_says_which() -> None:
    result = run(chain(), "int8,two=fp16")
    found = formats(result)
    assert {name: found[name] for name in ("one", "relu", "two", "three")} == {
        "one": "int8", "relu": "int8", "two": "fp16", "three": "int8"
    }  # fmt: skip
    assert result.inputs["format"] == "int8,two=fp16"
    layers = by_name(result)
    assert layers["two"].counts["mac", "fp16", "output"] == 2 * 11 * 13
    assert layers["one"].counts["mac", "int8", "output"] == 2 * 7 * 11
    assert result.total["macs"] == 2 * (7 * 11 + 11 * 13 + 13 * 17)


def test_a_layer_in_its_own_format_costs_what_it_costs_in_a_network_of_that_format_but_for_its_borders() -> None:
    mixed, whole = by_name(run(chain(), "int8,two=fp16"))["two"], by_name(run(chain(), "fp16"))["two"]
    assert mixed.energy_pj["mac"] == whole.energy_pj["mac"]
    assert mixed.moved_bytes("dram", "read") == whole.moved_bytes("dram", "read")
    assert mixed.utilisation == pytest.approx(whole.utilisation, rel=0.1)


def test_results_are_converted_before_they_leave_the_chip_and_cross_its_edge_in_the_readers_width() -> None:
    result = run(chain(), "int8,two=fp16")
    layers = by_name(result)
    # 'one' computes in 8 bits; its ReLU and the conversion run before 2 x 11 results are stored in 16
    assert layers["one"].moved_bytes("dram", "write") == 2 * 11 * 2
    assert layers["two"].moved_bytes("dram", "read") == (2 * 11 + 11 * 13) * 2
    # 'two' computes in 16 bits and stores 2 x 13 results in 8
    assert layers["two"].moved_bytes("dram", "write") == 2 * 13 * 1
    assert layers["three"].moved_bytes("dram", "read") == 2 * 13 + 13 * 17
    assert layers["relu_as_fp16"].extras["fused_into"] == "one"
    assert layers["relu_as_fp16"].counts == {("vector", "int8", "output"): 2 * 11}
    assert "2 tensors are converted between formats, 0 of them read in the one width" in " ".join(result.notes)


def test_what_is_read_in_two_formats_is_converted_by_a_layer_of_its_own() -> None:
    layers = by_name(run(fork(), "int8,right=fp16"))
    assert layers["stem"].moved_bytes("dram", "write") == 2 * 11
    conversion = layers["stem_as_fp16"]
    assert (conversion.moved_bytes("dram", "read"), conversion.moved_bytes("dram", "write")) == (2 * 11, 2 * 11 * 2)
    assert layers["left"].moved_bytes("dram", "read") == 2 * 11 + 11 * 13
    assert layers["right"].moved_bytes("dram", "read") == (2 * 11 + 11 * 13) * 2
    # the sum is in 8 bits, and 'right' has nobody else who reads it
    assert layers["right"].moved_bytes("dram", "write") == 2 * 13
    assert layers["sum"].moved_bytes("dram", "read") == 2 * (2 * 13)


def test_one_conversion_serves_all_readers_in_a_format() -> None:
    result = run(fork(), "int8,left=fp16,right=fp16,sum=fp16")
    assert [row["layer"] for row in result.rows] == ["stem", "stem_as_fp16", "left", "right", "sum"]
    assert by_name(result)["stem"].moved_bytes("dram", "write") == 2 * 11 * 2


def test_a_conversion_that_widens_makes_the_writer_wait_for_memory_as_wide_results_do() -> None:
    slow = f"{SYSTOLIC},bandwidth_gb_s=0.07"
    narrow, widened = (by_name(run(chain(), fmt, slow))["one"] for fmt in ("int8", "int8,two=fp32"))
    assert widened.timing.compute_cycles == narrow.timing.compute_cycles
    assert widened.timing.total_cycles > narrow.timing.total_cycles


def test_changes_of_layout_pass_on_the_format_they_are_given() -> None:
    net = NetworkBuilder("layout")
    x = net.linear("one", net.input("x", (2, 12)), 6)
    x = net.layout("turned", x, (3, 4), "reshape")
    net.linear("two", x, 5)
    result = run(net.build(), "int8,one=fp16,two=fp16")
    assert formats(result) == {"one": "fp16", "turned": "fp16", "two": "fp16"}


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("wanted", ["int8,*recurrent_gates=fp16", "fp16,*hidden=int8", "int8,*input_gates=fp32"])
def test_states_are_carried_in_every_format_they_are_read_in(cell: str, wanted: str) -> None:
    network = catalog.network(f"{cell}:hidden=5,inputs=7,steps=3,batch=2")
    result = run(network, wanted)
    asked = dict(item.rpartition("=")[::2] for item in wanted.split(","))
    found = formats(result)
    for layer in network.layers:
        if layer.is_mac:
            own = [fmt for pattern, fmt in asked.items() if pattern and layer.name.endswith(pattern[1:])]
            assert found[layer.name] == (own or [asked[""]])[0]
    states = {tensor.name: tensor.carried_from for tensor in result.network.inputs}
    for name, carried in states.items():
        if name.endswith("_as_fp16"):
            assert carried is not None
            assert carried.endswith("_as_fp16")
    assert result.network.macs == network.macs


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary", "input_stationary"])
@pytest.mark.parametrize("fmt", ["int4,two=binary,three=ternary", "fp8,two=tf32,three=fp8_e5m2", "int8,two=fp32"])
def test_stepped_finds_the_same_cycles_and_counts_as_closed(dataflow: str, fmt: str) -> None:
    closed, stepped = (
        run(chain(), fmt, f"{SYSTOLIC},bandwidth_gb_s=0.3", dataflow=dataflow, fidelity=one)
        for one in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows


def test_every_format_of_the_generic_array_steps_its_real_values() -> None:
    for fmt in catalog.chip("systolic").formats:
        assert run(chain(), fmt, fidelity="stepped").rows == run(chain(), fmt).rows


def test_utilisation_of_a_mix_counts_what_the_array_could_do_in_each_layers_format() -> None:
    chip = catalog.chip("dadiannao")
    result = run(chain(), "fixed16,two=fixed32", "dadiannao")
    peaks = {name: chip.peak_macs_per_cycle(catalog.number_format(name)) for name in chip.formats}
    assert peaks["fixed32"] < peaks["fixed16"]
    possible = sum(layer.timing.total_cycles * peaks[layer.fmt.name] for layer in result.layers)
    assert result.total["utilisation"] == pytest.approx(result.total["macs"] / possible)
    assert result.total["energy_pj"] == pytest.approx(sum(row["energy_pj"] for row in result.rows))


def test_nodes_hold_the_synapses_of_each_layer_in_its_width() -> None:
    net = NetworkBuilder("large")
    x = net.linear("one", net.input("x", (1, 3000)), 3000, bias=False)
    net.linear("two", x, 3000, bias=False)
    # 9e6 synapses of 16 bits and as many of 32 are 51.5 MiB: one node of 36 MiB holds none of these but the first
    for fmt, nodes in (("fixed16", 1), ("fixed16,two=fixed32", 2), ("fixed32", 2)):
        if nodes == 1:
            run(net.build(), fmt, "dadiannao")
        else:
            with pytest.raises(InputError, match="MiB of synapses and neurons"):
                run(net.build(), fmt, "dadiannao")
    with pytest.raises(InputError, match=r"51\.5\d MiB"):
        run(net.build(), "fixed16,two=fixed32", "dadiannao")


def test_a_format_that_no_layer_changes_is_that_format_alone() -> None:
    plain, same = run(chain(), "int8"), run(chain(), "int8,two=int8")
    assert same.as_dict() == plain.as_dict()


def test_layers_alone_keep_the_chips_own_format_for_the_others() -> None:
    assert formats(run(chain(), "two=fp16"))["one"] == "int8"
    assert run(chain(), "two=fp16").inputs["format"] == "int8,two=fp16"


def test_later_layers_of_the_list_win_and_wildcards_name_several() -> None:
    found = formats(run(chain(), "int8,t*=fp16,three=bf16"))
    assert (found["two"], found["three"]) == ("fp16", "bf16")
    assert asked_formats("a=int8,int16,a=fp16") == {"": "int16", "a": "fp16"}


def test_formats_may_be_given_as_a_mapping() -> None:
    mapping: dict[str, str | NumberFormat] = {"": "int8", "two": catalog.number_format("fp16")}
    assert hwsim.simulate(chain(), on=SYSTOLIC, format=mapping).rows == run(chain(), "int8,two=fp16").rows


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("int8,tow=fp16", "network 'chain' has no layer 'tow'; did you mean 'two'?"),
        ("int8,z*=fp16", "network 'chain' has no layer 'z*'"),
        ("int8,two=fp61", "no format named 'fp61'; did you mean 'fp16'?"),
        ("int8,fp16", "format 'int8,fp16' has two formats for all layers, 'int8' and 'fp16'"),
        ("int8,=fp16", "'=fp16' of format 'int8,=fp16' names no layer; write LAYER=FORMAT"),
    ],
)
def test_a_format_that_cannot_be_read_is_a_usage_error(wanted: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        run(chain(), wanted)
    assert str(error.value) == said


def test_a_chip_whose_program_is_in_one_format_names_the_layer_it_refuses() -> None:
    said = "chip 'tpu_v1' runs a network in one format: layer 'two' cannot be in int16 beside int8"
    with pytest.raises(InputError) as error:
        run(chain(), "int8,two=int16", "tpu_v1")
    assert str(error.value) == said
    run(chain(), "int16,*=int8", "tpu_v1")


@pytest.mark.parametrize(
    ("asked", "known", "becomes"),
    [
        ("int4", "int8 int8x16 int16", "int8"),  # the narrowest with all its numbers
        ("int4", "int16 int8x16", "int8x16"),
        ("bf16", "fp16 fp32", "fp32"),  # fp16 has as many bits, but not its exponents
        ("bf16", "fp16", "fp16"),
        ("tf32", "fp16 bf16 fp32", "fp32"),
        ("fp8", "fp16 bf16 fp32", "fp16"),
        ("fp32", "fp16 int8", "fp16"),  # none as wide: the widest there is
        ("fp16", "int8 int8x16 int16", "int16"),
        ("int16", "int8 fp16", "fp16"),
        ("binary", "int8 ternary", "ternary"),
        ("int8", "fixed16", "fixed16"),
    ],
)
def test_a_format_becomes_the_nearest_the_chip_has(asked: str, known: str, becomes: str) -> None:
    formats_known = map(catalog.number_format, known.split())
    assert nearest(catalog.number_format(asked), formats_known).name == becomes


def test_converted_formats_are_said_with_what_is_lost() -> None:
    result = hwsim.simulate(chain(), on="dadiannao", format="fp16,two=int8", convert=True)
    assert result.inputs["format"] == "fixed32,two=fixed16"
    said = " ".join(result.notes)
    assert "does not compute in fp16: converted to fixed32, which does not have all its numbers" in said
    assert "does not compute in int8: converted to fixed16, which has all its numbers" in said


def test_a_format_that_the_chip_has_is_not_converted() -> None:
    chip = catalog.chip("systolic")
    for fmt in chip.formats:
        assert precision(chain(), chip, fmt, convert=True) == precision(chain(), chip, fmt)


def test_every_format_runs_on_some_chip_at_a_rate_that_the_chip_states() -> None:
    for name in catalog.names("format"):
        rates = chips_running(catalog.number_format(name))
        assert rates
        for chip, macs_per_cycle in rates.items():
            assert macs_per_cycle == catalog.chip(chip).peak_macs_per_cycle(catalog.number_format(name))
    # Jouppi et al., Sec. 2: 256 x 256 products of 8 bits, a quarter of them of 16
    assert chips_running(catalog.number_format("int16"))["tpu_v1"] == 256 * 256 / 4


def test_the_command_takes_formats_of_layers_and_converts_on_request() -> None:
    shown = answer("run", "mlp:hidden=13", "--format", "int8,fc2=fp16", "--csv").splitlines()
    column = shown[0].split(",").index("format")
    assert {line.split(",")[1]: line.split(",")[column] for line in shown[1:]}["fc2"] == "fp16"
    assert "fixed16" in refused(3, "run", "mlp", "--on", "eyeriss", "--format", "int8")
    assert "converted to fixed16" in answer("run", "mlp", "--on", "eyeriss", "--format", "int8", "--convert")
    assert "no layer 'fcc2'" in refused(2, "run", "mlp", "--format", "int8,fcc2=fp16")

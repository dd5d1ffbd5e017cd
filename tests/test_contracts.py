"""What every chip, dataflow and format must hold, run on all there are; a new one is found and tested by itself.

A chip may refuse a network that has a layer it cannot run, with a sentence that names the layer, but not all of them.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import prod

import pytest
from strategies import attention, conv, linear, network_of

import hwsim
from hwsim import LayerResult, NetworkResult, catalog
from hwsim.arch import Accelerator, MemoryLevel
from hwsim.engine.vector import UNCOMPUTED_KINDS
from hwsim.errors import InputError
from hwsim.ir import Kind, Layer, Network
from hwsim.mapping import Mapping
from hwsim.results.store import json_text

Triple = tuple[str, str, str]

TRIPLES = [
    (chip, dataflow, fmt)
    for chip in catalog.names("chip")
    for dataflow in catalog.chip(chip).dataflows
    for fmt in catalog.chip(chip).formats
]
"""Every chip with each of its dataflows and formats."""

TINY = {
    "tiny_products": network_of(linear(1, 1, 1), linear(7, 5, 3), attention(3, 7, 5, 11), linear(2, 13, 11, steps=5)),
    "tiny_convolutions": network_of(
        conv((2, 6, 11, 7), 4, 3, stride=2, padding=(1, 0, 2, 1), groups=2),
        conv((1, 3, 13, 13), 5, (1, 3), dilation=(1, 2)),
        conv((1, 5, 9, 9), 5, 1, stride=3),
        conv((1, 7, 7, 7), 7, 3, padding=1, groups=7),
    ),
}
FAMILIES = (
    "alexnet",
    "attention",
    "dadiannao_layers",
    "densenet:image=32",
    "eie_layers",
    "lstm",
    "mlp",
    "mobilenet",
    "resnet",
    "shufflenet:image=32",
    "tpu_apps",
    "vgg",
)
"""Families of every structure; `test_zoo_matrix` runs all there are."""

NETWORKS = (*FAMILIES, "gru:hidden=13,inputs=7,steps=5,batch=3", "mlp:hidden=13", *TINY)
"""Those, and small ones with what they do not have."""

OPENING_COLUMNS = (
    "network",
    "layer",
    "kind",
    "chip",
    "dataflow",
    "format",
    "batch",
    "weight_density",
    "input_density",
    "macs",
    "fill_cycles",
    "compute_cycles",
    "stall_cycles",
    "drain_cycles",
    "total_cycles",
    "seconds",
    "utilisation",
)
TOTALS = ("macs", "total_cycles", "seconds", "energy_pj", "average_power_w", "inferences_per_s", "inferences_per_j")

OF_FEWER_MACS = ("winograd", "winograd_fused", "fft")
"""Algorithms of convolutions, as rows name them, whose multiply-accumulates are not those of the loop nest."""

every_triple = pytest.mark.parametrize("triple", TRIPLES, ids="-".join)
every_chip = pytest.mark.parametrize(
    "chip", [catalog.chip(name) for name in catalog.names("chip")], ids=catalog.names("chip")
)


@cache
def network(name: str) -> Network:
    return TINY[name] if name in TINY else catalog.network(name)


@cache
def attempt(triple: Triple, name: str) -> NetworkResult | InputError:
    """Return the result, or why the chip refuses the network."""
    chip, dataflow, fmt = triple
    try:
        return hwsim.simulate(network(name), on=chip, dataflow=dataflow, format=fmt)
    except InputError as refused:
        return refused


def named_results(triple: Triple) -> Iterator[tuple[str, NetworkResult]]:
    """Yield the name and the result of every network that the chip does not refuse."""
    for name in NETWORKS:
        found = attempt(triple, name)
        if isinstance(found, NetworkResult):
            yield name, found


def results(triple: Triple) -> Iterator[NetworkResult]:
    return (one for _, one in named_results(triple))


def results_and_layers(triple: Triple) -> Iterator[tuple[NetworkResult, LayerResult]]:
    return ((one, layer) for one in results(triple) for layer in one.layers)


@cache
def rows_used(extent: int, outputs: int, taps: int, stride: int, dilation: int, before: int) -> int:
    """Return how many of `extent` input rows lie under some window, by looking at every row of every window."""
    read = {p * stride + r * dilation - before for p in range(outputs) for r in range(taps)}
    return len(read & set(range(extent)))


def compulsory_bits(kernel: list[LayerResult], one: NetworkResult) -> int:
    """Return the distinct bits that layers computed together must move off-chip once: weights, and activations that
    enter or leave, unless those stay on the chip.

    A chip that skips zeros need not move them: of a network with zeros, only inputs that are none are compulsory.
    """
    chip, fmt, layers = one.chip, one.fmt, [layer.layer for layer in kernel]
    weights = sum(map(weight_words, layers)) * fmt.operand_bits("weight") if "weight" in chip.off_chip.holds else 0
    if "input" not in chip.off_chip.holds:
        return weights
    inside = {layer.name for layer in layers}
    reading = [layer for layer in layers if layer.is_mac or layer is layers[0]]
    if chip.skips_zeros and any(other.input_density < 1 for other in one.network.layers):
        inputs, outputs = sum(int(layer.input_density * input_words(layer, inside)) for layer in reading), 0
    else:
        inputs = sum(input_words(layer, inside) for layer in reading)
        outputs = sum(layer.steps * prod(layer.output_shape) for layer in layers if leaves(layer, one.network, inside))
    return weights + (inputs + outputs) * fmt.bits


def leaves(layer: Layer, network: Network, inside: set[str]) -> bool:
    """Whether a layer's results are read by others than those `inside` its kernel, or by none."""
    readers = {other.name for other in network.layers if layer.name in other.inputs}
    return not readers or not readers <= inside


def input_words(layer: Layer, inside: set[str]) -> int:
    """Return the distinct words of a layer's inputs that are used and not the results of layers `inside` its kernel."""
    shapes = dict(zip(layer.inputs, layer.input_shapes, strict=True))
    inputs = sum(prod(shape) for name, shape in shapes.items() if name not in inside)
    if layer.kind in (Kind.CONV, Kind.POOL):
        batch, depth, rows, cols = layer.input_shapes[0]
        inputs = batch * depth
        inputs *= rows_used(rows, layer.P, layer.R, layer.stride[0], layer.dilation[0], layer.padding[0])
        inputs *= rows_used(cols, layer.Q, layer.S, layer.stride[1], layer.dilation[1], layer.padding[1])
    return layer.steps * inputs


def weight_words(layer: Layer) -> int:
    """Return a layer's weights, once."""
    if layer.kind is Kind.CONV or (layer.kind is Kind.MATMUL and len(layer.inputs) == 1):
        return layer.G * layer.K * layer.C * layer.R * layer.S
    return 0


def kernels(one: NetworkResult) -> Iterator[list[LayerResult]]:
    """Yield the layers that are computed together: each that is computed, with all that its row says run in it."""
    together: dict[str, list[LayerResult]] = {}
    head: dict[str, str] = {}
    for layer in one.layers:
        if layer.layer.kind in UNCOMPUTED_KINDS or not (layer.layer.is_mac or one.chip.vector_lanes):
            continue
        name, into = layer.layer.name, layer.extras.get("fused_into", "")
        head[name] = head.get(into, into) or name
        together.setdefault(head[name], []).append(layer)
    yield from together.values()


def skips(one: LayerResult) -> bool:
    """Whether the chip leaves out some of the layer's products, because an operand is zero."""
    return one.chip.skips_zeros and min(one.layer.weight_density, one.layer.input_density) < 1


@every_triple
def test_a_chip_runs_some_network_and_says_which_layer_it_refuses(triple: Triple) -> None:
    assert list(results(triple))
    for name in NETWORKS:
        found = attempt(triple, name)
        if isinstance(found, InputError):
            assert any(f"'{layer.name}'" in str(found) for layer in network(name).layers), str(found)


@every_triple
def test_macs_are_conserved(triple: Triple) -> None:
    for one in results(triple):
        assert one.total["macs"] == one.network.macs
        for layer in one.layers:
            gated = layer.counts.get(("mac", "gated", "output"), 0)
            done = layer.counts.get(("mac", layer.fmt.name, "output"), 0) + gated
            if layer.extras.get("algorithm") in OF_FEWER_MACS:
                # minimal filtering: one for each output, channel and filter, at least
                assert layer.layer.C * prod(layer.layer.output_shape) <= done == layer.extras["macs_done"]
            else:
                assert done <= layer.layer.macs if skips(layer) else done == layer.layer.macs


@every_triple
def test_cycles_are_at_least_those_of_the_peak_rate(triple: Triple) -> None:
    for one, layer in results_and_layers(triple):
        assert layer.timing.total_cycles * one.chip.peak_macs_per_cycle(one.fmt) >= layer.macs_done
        assert 0 <= layer.utilisation <= 1
        assert min(layer.timing) >= 0
        assert 0 <= one.total["utilisation"] <= 1


@every_triple
def test_cycles_and_traffic_are_at_least_those_of_the_compulsory_bits(triple: Triple) -> None:
    for one in results(triple):
        rate, outer = one.chip.off_chip.read_bits_per_cycle, one.chip.off_chip.name
        cycles = bits = 0
        for kernel in kernels(one):
            compulsory = compulsory_bits(kernel, one)
            moved = sum(
                count * one.chip.word_bits(outer, operand, one.fmt)
                for layer in kernel
                for (component, _, operand), count in layer.counts.items()
                if component == outer
            )
            assert moved >= compulsory, (one.network.name, kernel[0].layer.name)
            # where layers overlap, weights may come in the time of an earlier one, but not before the run begins
            overlapping = one.chip.host is not None
            cycles = sum(layer.timing.total_cycles for layer in kernel) + (cycles if overlapping else 0)
            bits = compulsory + (bits if overlapping else 0)
            assert rate is None or cycles * rate >= bits, kernel[0].layer.name


@every_triple
def test_energy_is_counts_times_table(triple: Triple) -> None:
    for one, layer in results_and_layers(triple):
        expected = dict.fromkeys(layer.energy_pj, 0.0)
        for (component, action, operand), count in layer.counts.items():
            (entry,) = (e for e in one.chip.energy.entries if (e.component, e.action) == (component, action))
            wide = operand == "psum" or (operand == "output" and accumulates(one.chip, component))
            word_bits = one.fmt.accumulator_bits if wide else one.fmt.operand_bits(operand)
            expected[component] += count * entry.energy_pj * (word_bits / entry.bits if entry.bits else 1)
        assert layer.energy_pj == pytest.approx(expected)
        assert layer.total_energy_pj == pytest.approx(sum(expected.values()))


def accumulates(chip: Accelerator, component: str) -> bool:
    return any(level.name == component and level.accumulates for level in chip.levels)


@every_triple
def test_totals_are_the_sums_of_the_layers(triple: Triple) -> None:
    for one in results(triple):
        cycles = sum(row["total_cycles"] for row in one.rows)
        assert tuple(one.total)[: len(TOTALS)] == TOTALS
        assert one.total["total_cycles"] == cycles
        assert one.total["seconds"] == pytest.approx(cycles / one.chip.clock_hz)
        assert one.total["energy_pj"] == pytest.approx(sum(row["energy_pj"] for row in one.rows))
        assert one.total["inferences_per_s"] * one.total["seconds"] == pytest.approx(one.network.batch)
        assert one.total["average_power_w"] * one.total["seconds"] == pytest.approx(one.total["energy_pj"] * 1e-12)


@every_triple
def test_row_keys_stand_in_the_documented_order(triple: Triple) -> None:
    for one in results(triple):
        outer, *inner = one.chip.off_chip.name, *(level.name for level in one.chip.levels[:-1])
        bytes_moved = [f"{level}_{action}_bytes" for level in (outer, *inner) for action in ("read", "write")]
        energies = [f"energy_{component}_pj" for component in one.chip.energy.components]
        expected = [*OPENING_COLUMNS, *bytes_moved, *energies, "energy_pj"]
        assert all(list(row)[: len(expected)] == expected for row in one.rows)


@every_triple
def test_density_1_equals_dense(triple: Triple) -> None:
    chip, dataflow, fmt = triple
    for name, one in named_results(triple):
        dense = network(name).with_density(weight=1.0, activation=1.0)
        if dense == network(name):
            assert hwsim.simulate(dense, on=chip, dataflow=dataflow, format=fmt).rows == one.rows


@every_triple
def test_results_pickle_and_come_back_equal(triple: Triple) -> None:
    small = ("gru:hidden=13,inputs=7,steps=5,batch=3", "mlp:hidden=13", *TINY)
    for one in (one for name, one in named_results(triple) if name in small):
        again = pickle.loads(pickle.dumps(one))
        assert again == one
        assert again.as_dict() == one.as_dict()


PRINT_ALL = """
import sys, json, hwsim
from hwsim.results.store import json_text
for chip, dataflow, fmt in json.loads(sys.argv[1]):
    for name in json.loads(sys.argv[2]):
        sys.stdout.write(json_text([hwsim.simulate(name, on=chip, dataflow=dataflow, format=fmt)]))
"""


def test_two_runs_are_byte_identical_whatever_the_order_of_sets() -> None:
    some, triples = ["mlp", "lstm:hidden=13"], TRIPLES[::4]
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    command = [sys.executable, "-c", PRINT_ALL, json.dumps(triples), json.dumps(some)]
    other = subprocess.run(
        command, env=environment, capture_output=True, check=True, text=True, encoding="utf-8"
    ).stdout
    here = "".join(
        json_text([hwsim.simulate(name, on=chip, dataflow=dataflow, format=fmt)])
        for chip, dataflow, fmt in triples
        for name in some
    )
    assert here == other


@every_chip
def test_every_energy_and_every_parameter_has_a_source(chip: Accelerator) -> None:
    for entry in chip.energy.entries:
        assert entry.source.work.strip(), (entry.component, entry.action)
        assert entry.source.locator.strip(), (entry.component, entry.action)
        assert entry.source.is_assumed or entry.source.year, (entry.component, entry.action)
        assert entry.energy_pj > 0
    assert set(chip.parameters) <= set(chip.sources)
    for name, source in chip.sources.items():
        assert str(source).strip(), name
        assert not source.is_assumed or source.locator.strip(), name


@every_triple
def test_every_energy_that_is_used_is_listed_with_its_source(triple: Triple) -> None:
    for one in results(triple):
        listed = {source["what"] for source in one.sources}
        for layer in one.layers:
            assert {f"energy of {component} {action}" for component, action, _ in layer.counts} <= listed


@every_triple
def test_more_bandwidth_makes_no_layer_of_any_network_slower(triple: Triple) -> None:
    chip, dataflow, fmt = triple
    given_chip = catalog.chip(chip)
    *inner, outer = given_chip.levels
    if outer.read_bits_per_cycle is None or outer.write_bits_per_cycle is None:
        return
    faster = replace(given_chip, levels=(*inner, with_rate(outer, 2)))
    for name, one in named_results(triple):
        quick = hwsim.simulate(network(name), on=faster, dataflow=dataflow, format=fmt)
        slower_end = quicker_end = 0
        for before, after in zip(one.layers, quick.layers, strict=True):
            slower_end += before.timing.total_cycles
            quicker_end += after.timing.total_cycles
            assert quicker_end <= slower_end, (name, before.layer.name)
            # where layers overlap, one that ends earlier may leave a longer wait to the next
            assert given_chip.host or after.timing.total_cycles <= before.timing.total_cycles, before.layer.name


def with_rate(level: MemoryLevel, factor: int) -> MemoryLevel:
    assert level.read_bits_per_cycle is not None
    assert level.write_bits_per_cycle is not None
    return replace(
        level,
        read_bits_per_cycle=factor * level.read_bits_per_cycle,
        write_bits_per_cycle=factor * level.write_bits_per_cycle,
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chip", catalog.names("chip"))
def test_a_batch_of_two_costs_at_most_twice_one_of_every_family(chip: str, family: str) -> None:
    try:
        separator = "," if ":" in family else ":"
        once, twice = (hwsim.simulate(f"{family}{separator}batch={batch}", on=chip) for batch in (1, 2))
    except InputError as refused:
        pytest.skip(f"chip '{chip}' refuses it: {refused}")
    # where zeros are skipped, random ones of another input may be more unevenly spread
    slack = 1.02 if any(skips(layer) for layer in once.layers) else 1
    assert twice.total["total_cycles"] <= 2 * slack * once.total["total_cycles"]
    assert twice.total["energy_pj"] <= 2 * slack * once.total["energy_pj"]


@every_chip
def test_a_mapping_covers_every_layer_of_every_network(chip: Accelerator) -> None:
    for dataflow in chip.dataflows:
        for one in results((chip.name, dataflow, chip.formats[0])):
            for layer in one.layers:
                if layer.mapping is not None:
                    assert isinstance(layer.mapping, Mapping)
                    layer.mapping.check()


def test_zeros_that_a_chip_does_not_skip_are_said_to_save_nothing() -> None:
    dense = hwsim.simulate("mlp:hidden=17-31,inputs=13,classes=7")
    sparse = hwsim.simulate(dense.network.with_density(weight=0.5))
    assert sparse.total == dense.total
    said = "chip 'systolic' computes zeros like any other value: densities below 1 save nothing"
    assert said in sparse.notes
    assert said not in dense.notes
    assert {row["weight_density"] for row in sparse.rows if row["macs"]} == {0.5}


def test_the_batch_of_every_row_is_that_of_the_network() -> None:
    # a recurrent layer's matrices have batch x steps rows, its gates batch
    result = hwsim.simulate("lstm:hidden=5,inputs=3,steps=7,batch=2")
    assert {row["batch"] for row in result.rows} == {2}

"""TPU v1 stepped, in each of its formats: units run as processes, outputs are those of a plain convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from programs import compiled
from strategies import conv, linear, network_of

import hwsim
from hwsim import catalog
from hwsim.engine import array_stepped, tiles_events
from hwsim.formats import NumberFormat
from hwsim.functional.lowering import random_operands
from hwsim.ir import Layer, Network, NetworkBuilder
from hwsim.mapping import ArrayMapping
from hwsim.published import table
from hwsim.results.record import Row

Array = NDArray[Any]

FORMATS = ("int8", "int8x16", "int16")
SMALL = "tpu_v1:rows=16,cols=8,accumulators=64"


def small() -> Network:
    """Return products of 3 x 2 and 5 x 3 tiles of 16 x 8, the first in 2 chunks of an image, with lanes between."""
    net = NetworkBuilder("small")
    x = net.conv("conv", net.input("x", (2, 5, 6, 5)), 11, 3, padding="same", bias=False)
    x = net.pool("pool", net.activation("relu", x), 2)
    x = net.linear("fc", net.flatten("flatten", x), 19, bias=False)
    net.softmax("softmax", x)
    return net.build()


def total(network: Network, fmt: str, chip: str = "tpu_v1") -> Row:
    return hwsim.simulate(network, on=chip, format=fmt).total


def reference(layer: Layer, fmt: NumberFormat, seed: int) -> Array:
    """Return outputs (N P Q, G K), summed tap by tap over shifted images in 64 bits and cut to the sums' width."""
    x, weights = (values.astype(np.int64) for values in random_operands(layer, fmt, seed))
    if layer.kind != "conv":
        x = x.transpose(1, 0, 2).reshape(layer.N, layer.G * layer.C, 1, 1)
    top, left, bottom, right = layer.padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    sums = np.zeros((layer.N, layer.G, layer.K, layer.P, layer.Q), np.int64)
    (down, across), (spread_r, spread_s) = layer.stride, layer.dilation
    for g in range(layer.G):
        image = x[:, g * layer.C : (g + 1) * layer.C]
        for r, s in np.ndindex(layer.R, layer.S):
            rows, cols = r * spread_r + down * np.arange(layer.P), s * spread_s + across * np.arange(layer.Q)
            sums[:, g] += np.einsum("nchw,kc->nkhw", image[:, :, rows][..., cols], weights[g, :, :, r, s])
    outputs: Array = sums.transpose(1, 0, 3, 4, 2).reshape(layer.G, -1, layer.K).astype(fmt.accumulator)
    return outputs


def outputs(layer: Layer, chip: str, fmt: NumberFormat, seed: int) -> Array:
    machine = catalog.chip(chip)
    mapping = catalog.dataflow(machine.dataflow)(layer, machine, fmt)
    assert isinstance(mapping, ArrayMapping)
    return array_stepped.run(mapping, machine, fmt, seed).outputs


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("issue", ["in_order", "decoupled"])
def test_stepped_gives_the_same_columns_as_closed(fmt: str, issue: str) -> None:
    closed, stepped = (
        hwsim.simulate(small(), on=f"{SMALL},issue={issue}", format=fmt, fidelity=fidelity, seed=5)
        for fidelity in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows
    assert closed.total == stepped.total
    assert closed.total["weight_tiles"] == {"int8": 2 * 3 * 2, "int8x16": 2 * 3 * 2, "int16": 4 * 3 * 2}[fmt] + 5 * 3


@pytest.mark.parametrize("fmt", FORMATS)
def test_stepped_gives_the_same_columns_as_closed_on_the_whole_array(fmt: str) -> None:
    # 2 x 2 tiles of 256 x 256, with edges of 44 rows and 14 columns
    network = network_of(linear(7, 300, 270))
    closed, stepped = (
        hwsim.simulate(network, on="tpu_v1", format=fmt, fidelity=fidelity) for fidelity in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows
    assert closed.total == stepped.total


@pytest.mark.parametrize(
    "layer",
    [
        conv((2, 5, 6, 5), 11, 3, padding="same"),
        conv((3, 6, 7, 9), 10, (2, 3), stride=(2, 1), padding=(0, 1, 2, 0), dilation=(1, 2), groups=2),
        linear(7, 37, 19),
    ],
    ids=["conv", "grouped", "fc"],
)
@pytest.mark.parametrize("name", FORMATS)
def test_outputs_of_the_matrix_unit_are_the_reference_bit_for_bit(layer: Layer, name: str) -> None:
    fmt = catalog.number_format(name)
    found, expected = outputs(layer, SMALL, fmt, seed=7), reference(layer, fmt, seed=7)
    assert found.dtype == expected.dtype == np.dtype(fmt.accumulator)
    assert found.tobytes() == expected.tobytes()


def test_outputs_of_the_whole_array_are_the_reference_bit_for_bit() -> None:
    layer, fmt = linear(7, 300, 270), catalog.number_format("int8")
    found = outputs(layer, "tpu_v1", fmt, seed=3)
    assert found.tobytes() == reference(layer, fmt, seed=3).tobytes()
    assert found.any()


@pytest.mark.parametrize(("fmt", "slower"), [("int8", 1), ("int8x16", 2), ("int16", 4)])
def test_wider_operands_take_two_and_four_times_the_cycles(fmt: str, slower: int) -> None:
    # 97 rows through 2 x 3 tiles
    row = total(network_of(linear(97, 300, 530)), fmt)
    assert row["array_active_fraction"] * row["total_cycles"] == pytest.approx(97 * 2 * 3 * slower)
    assert row["useful_macs_fraction"] * row["total_cycles"] == pytest.approx(97 * 300 * 530 * slower / 256**2)


def test_tiles_of_16_bit_weights_take_twice_as_long_to_come_and_half_as_many_wait() -> None:
    narrow, mixed, wide = (compiled(network_of(linear(97, 300, 530)), fmt) for fmt in ("int8", "int8x16", "int16"))
    # 65,536 and 131,072 B at 30 GiB/s are 1424.2 and 2848.3 cycles, and 256 rows of 2 B shift in a byte per cycle
    assert (narrow.fetch_cycles, mixed.fetch_cycles, wide.fetch_cycles) == (1425, 1425, 2849)
    assert (narrow.shift_cycles, mixed.shift_cycles, wide.shift_cycles) == (256, 256, 512)
    assert (narrow.fifo_tiles, mixed.fifo_tiles, wide.fifo_tiles) == (4, 4, 2)


@pytest.mark.parametrize(("fmt", "held"), [("int8", 2048), ("int8x16", 2048), ("int16", 1024)])
def test_accumulators_hold_half_as_many_sums_of_64_bits(fmt: str, held: int) -> None:
    # weights come so slowly that both halves are filled; rows beyond are a second chunk, for which tiles come again
    slow = "tpu_v1:bandwidth_gib_s=3"
    assert total(network_of(linear(2 * held, 300, 530)), fmt, slow)["weight_tiles"] == 6
    assert total(network_of(linear(2 * held + 1, 300, 530)), fmt, slow)["weight_tiles"] == 12


@pytest.mark.parametrize("fmt", ["int8", "int8x16", "int16"])
def test_a_single_pe_does_half_or_a_quarter_of_a_product_per_cycle(fmt: str) -> None:
    # 7 x 5 x 3 products, each 1, 2 or 4 cycles
    network, slower = network_of(linear(7, 5, 3)), {"int8": 1, "int8x16": 2, "int16": 4}[fmt]
    row = total(network, fmt, "tpu_v1:rows=1,cols=1")
    assert row["array_active_fraction"] * row["total_cycles"] == pytest.approx(7 * 5 * 3 * slower)
    assert row["useful_macs_fraction"] == row["utilisation"] == pytest.approx(row["array_active_fraction"])


@pytest.mark.parametrize("app", [row["app"] for row in table("tpu_v1_table1")])
def test_an_application_is_few_blocks_and_few_events(app: str) -> None:
    network = catalog.network(f"tpu_apps:app={app}")
    program = compiled(network, network.format)
    tiles, blocks = program.tiles_by_layer.total(), len(program.blocks)
    # closed takes a few steps per block however many tiles are in it; the events fit a second at 3 us each, measured
    assert blocks <= 40 * len(network.layers)
    assert tiles_events.observe(program).events <= 11 * tiles + 9 * blocks + 20 < 100_000

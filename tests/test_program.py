"""The compiler for a machine with one matrix unit: which blocks a network becomes, and what each one waits for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import QUICK, SMALL, WEIGHTS, compiled, networks, tpus
from strategies import conv, network_of

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder
from hwsim.mapping.program import Block, Instruction, Program


def fully_connected(batch: int, *widths: int) -> Network:
    """Return fully connected layers from the first width to the last."""
    net = NetworkBuilder("fully connected")
    x = net.input("x", (batch, widths[0]))
    for index, width in enumerate(widths[1:]):
        x = net.linear(f"fc{index}", x, width)
    return net.build()


def convolutions(images: int, extent: int, channels: int, count: int) -> Network:
    """Return `count` convolutions of 3 x 3 that keep the size of their images."""
    net = NetworkBuilder("convolutions")
    x = net.input("x", (images, channels, extent, extent))
    for index in range(count):
        x = net.conv(f"conv{index}", x, channels, 3, padding="same")
    return net.build()


def of_unit(program: Program, unit: str) -> list[Block]:
    return [block for block in program.blocks if block.unit == unit]


def order(program: Program) -> list[tuple[str, int]]:
    """Return the unit and layer of every block."""
    return [(block.unit, block.layer) for block in program.blocks]


def test_two_fully_connected_layers_are_read_multiplied_activated_twice_and_written() -> None:
    program = compiled(fully_connected(200, 2000, 2000, 1000))
    # 2000 is 8 tiles of 256, 1000 is 4; at 200 rows 2048 accumulators hold 10 column tiles; an Activate stores 200 rows
    # of each column tile, one a cycle; the host sends 400,000 bytes at 10 GiB/s: 15.34 bytes a cycle of 700 MHz
    assert program.blocks == (
        Block("host_in", 0, 26078, bits=200 * 2000 * 8),
        Block("tiles", 0, 200, 8 * 8, needs=(0,)),
        Block("activation", 0, 200 * 8, needs=(1,)),
        Block("tiles", 1, 200, 8 * 4, waits=(2,)),
        Block("activation", 1, 200 * 4, needs=(3,)),
        Block("host_out", 1, 13039, waits=(4,), bits=200 * 1000 * 8),
    )


def test_column_tiles_that_half_of_the_accumulators_hold_share_an_activate() -> None:
    # at 300 rows 2048 accumulators hold 6 of the 8 column tiles, of 8 row tiles each
    program = compiled(fully_connected(300, 2000, 2000))
    assert [(block.repeat, block.needs) for block in of_unit(program, "tiles")] == [(6 * 8, (0,)), (2 * 8, (0,))]
    assert [block.cycles for block in of_unit(program, "activation")] == [6 * 300, 2 * 300]


def test_a_third_group_of_column_tiles_needs_the_half_that_the_first_one_s_activate_frees() -> None:
    # 7 rows: 11 accumulators hold one column tile; 10 outputs are 4 column tiles, 13 inputs 3 row tiles
    program = compiled(fully_connected(7, 13, 10), **SMALL)
    assert [(block.repeat, block.needs) for block in of_unit(program, "tiles")] == [
        (3, (0,)),
        (3, (0,)),
        (3, (0, 2)),
        (3, (0, 4)),
    ]
    assert program.blocks[-1].waits == (8,)
    # the halves know no layers: the second layer's first group needs the half of the first layer's last but one
    second = compiled(fully_connected(7, 13, 10, 3), **SMALL)
    assert of_unit(second, "tiles")[4:] == [Block("tiles", 1, 7, 2, waits=(8,), needs=(6,))]


def test_chunks_of_a_convolution_wait_only_for_the_chunk_that_has_their_images() -> None:
    # 8 images of 361 positions are 2888 rows; 2048 accumulators hold 5 images, so 2 chunks of 4: 1444 rows each.
    # 256 channels are one column tile, 3 x 3 x 256 are 9 row tiles
    program = compiled(convolutions(8, 19, 256, 2))
    first, second, third, fourth = of_unit(program, "tiles")
    assert {(block.cycles, block.repeat) for block in of_unit(program, "tiles")} == {(1444, 9)}
    assert (first.waits, first.needs) == (second.waits, second.needs) == ((), (0,))
    assert (third.waits, fourth.waits) == ((2,), (4,))
    assert program.blocks[-1].waits == (6, 8)


def test_chunks_of_unequal_length_wait_for_the_chunk_that_has_their_images() -> None:
    # 7 images of 2 x 2 positions: 11 rows of sums hold 2 images, so 4 chunks of 2 2 2 1
    blocks = of_unit(compiled(convolutions(7, 2, 3, 2), **QUICK), "tiles")
    assert [(block.cycles, block.waits) for block in blocks[4:]] == [(8, (2,)), (8, (4,)), (8, (6,)), (4, (8,))]


def test_a_chunk_waits_for_all_chunks_that_have_some_of_its_images() -> None:
    # 6 images: of 3 x 3 positions 24 rows of sums hold 2, so 3 chunks; of 2 x 2 all, in two halves of 3 images; of
    # 4 x 4 one, so 6 chunks
    net = NetworkBuilder("sizes")
    x = net.conv("wide", net.input("x", (6, 3, 3, 3)), 3, 1)
    x = net.conv("narrow", x, 3, 2)
    net.conv("padded", x, 3, 1, padding=1)
    blocks = of_unit(compiled(net.build(), **{**QUICK, "accumulators": 48}), "tiles")
    assert [block.cycles for block in blocks] == [18, 18, 18, 12, 12, 16, 16, 16, 16, 16, 16]
    assert [block.waits for block in blocks] == [(), (), (), (2, 4), (4, 6), *[(8,)] * 3, *[(10,)] * 3]


def test_a_chunk_waits_for_every_chunk_with_a_part_of_its_image() -> None:
    # 57 x 57 = 3249 positions are more than 2048: 2 chunks of 1625 and 1624; 64 x 9 inputs are 3 row tiles
    program = compiled(convolutions(1, 57, 64, 2))
    blocks = of_unit(program, "tiles")
    assert [(block.cycles, block.repeat) for block in blocks] == [(1625, 3), (1624, 3)] * 2
    assert [block.waits for block in blocks] == [(), (), (2, 4), (2, 4)]
    # 2 images of 25 positions in 11 rows: 5 chunks of 10; the third ends the first image and starts the second
    program = compiled(convolutions(2, 5, 3, 2), **QUICK)
    blocks = of_unit(program, "tiles")
    assert {block.cycles for block in blocks} == {10}
    assert [block.waits for block in blocks[5:]] == [(2, 4, 6), (2, 4, 6), (2, 4, 6, 8, 10), (6, 8, 10), (6, 8, 10)]


def test_a_convolution_s_chunks_wait_alike_behind_a_change_of_layout() -> None:
    # 8 images of 19 x 19 in two chunks; flattened, they are 8 rows in one
    net = NetworkBuilder("flattened")
    net.linear("fc", net.flatten("flat", net.conv("conv", net.input("x", (8, 5, 19, 19)), 7, 3, padding=1)), 3)
    program = compiled(net.build())
    assert order(program)[5:7] == [("tiles", 2), ("activation", 2)]
    assert program.blocks[5].waits == (2, 4)


def test_every_group_of_a_convolution_has_tiles_of_its_own() -> None:
    # 2 groups of 7 x 3 x 3 inputs, 13 row tiles of 5, and 5 filters, 2 column tiles of 3; 9 positions leave 11 rows of
    # sums no room for more than one of the 2 x 2 column tiles
    net = NetworkBuilder("grouped")
    net.conv("conv", net.input("x", (1, 14, 5, 5)), 10, 3, groups=2)
    program = compiled(net.build(), **SMALL)
    assert [(block.cycles, block.repeat) for block in of_unit(program, "tiles")] == [(9, 13)] * 4
    assert program.tiles_by_layer == {0: 2 * 2 * 13}


def recurrent(steps: int) -> Network:
    """Return h' = tanh(fc(h) + in(x)) over `steps` steps, h being carried."""
    net = NetworkBuilder("recurrent")
    given, state = net.linear("in", net.input("x", (2, 5)), 7), net.state("h", (2, 7))
    total = net.elementwise("sum", net.linear("fc", state, 7, steps=steps), given, steps=steps)
    net.carry(state, net.activation("tanh", total, "tanh", steps=steps))
    return net.build()


def test_recurrent_layers_repeat_step_by_step_and_wait_for_the_state_of_the_step_before() -> None:
    program = compiled(recurrent(3))
    step: list[tuple[str, int]] = [("tiles", 1), ("activation", 1), ("activation", 2)]
    assert order(program) == [("host_in", 0), ("tiles", 0), ("activation", 0), *(3 * step), ("host_out", 2)]
    # the first state is zero and there; the lanes add what "in" and "fc" gave; tanh passes as the sum is stored
    assert [block.waits for block in of_unit(program, "tiles")] == [(), (), (5,), (8,)]
    assert [program.blocks[number].needs for number in (5, 8, 11)] == [(2, 4), (2, 7), (2, 10)]
    assert program.tiles_by_layer == {0: 1, 1: 3}


def test_a_network_whose_only_results_are_carried_writes_its_last_one() -> None:
    # once, not in every step; it is what "sum" stored
    assert of_unit(compiled(recurrent(3)), "host_out") == [Block("host_out", 2, 1, waits=(11,), bits=2 * 7 * 8)]


def test_carried_states_are_neither_read_from_the_host_nor_written_to_it() -> None:
    net = NetworkBuilder("one step")
    state = net.state("h", (2, 7))
    added = net.elementwise("sum", net.linear("fc", state, 7), net.input("x", (2, 7)))
    net.linear("out", added, 3)
    net.carry(state, net.linear("next", added, 7))
    program = compiled(net.build())
    assert [block.bits for block in of_unit(program, "host_in")] == [2 * 7 * 8]
    assert [block.bits for block in of_unit(program, "host_out")] == [2 * 3 * 8]


def test_what_no_layer_reads_is_written_to_the_host_once() -> None:
    net = NetworkBuilder("two heads")
    trunk = net.linear("trunk", net.input("x", (2, 5)), 7)
    net.linear("left", trunk, 3)
    net.activation("relu", net.linear("right", trunk, 11))
    program = compiled(net.build())
    assert [(block.bits, block.waits) for block in of_unit(program, "host_out")] == [
        (2 * 3 * 8, (4,)),
        (2 * 11 * 8, (6,)),
    ]


def test_inputs_come_from_the_host_before_all_else_and_tiles_need_them_without_a_synchronisation() -> None:
    net = NetworkBuilder("two inputs")
    x, y = net.input("x", (2, 5)), net.input("y", (2, 7))
    net.elementwise("add", net.linear("fc", x, 7), y)
    program = compiled(net.build())
    assert order(program)[:3] == [("host_in", 0), ("host_in", 0), ("tiles", 0)]
    assert (program.blocks[2].waits, program.blocks[2].needs) == ((), (0,))
    assert program.blocks[4].needs == (1, 3)


def test_the_second_of_two_multiplied_activations_goes_through_the_host_into_weight_memory() -> None:
    net = NetworkBuilder("attention")
    x = net.input("x", (2, 11, 5))
    queries, keys = net.linear("q", x, 7), net.linear("k", x, 7)
    net.matmul("scores", queries, net.layout("t", keys, (2, 7, 11), "transpose"))
    program = compiled(net.build())
    assert order(program)[5:] == [(unit, 3) for unit in ("host_out", "host_in", "tiles", "activation", "host_out")]
    out, back, product = program.blocks[5:8]
    assert (out.waits, out.bits) == ((4,), 2 * 7 * 11 * 8)
    assert (back.waits, back.bits) == ((5,), 2 * 7 * 11 * 8)
    # two batches of one tile each wait for the queries and for the keys' return
    assert (product.waits, product.repeat, product.cycles) == ((2, 6), 2, 11)


def test_functions_of_results_and_changes_of_layout_are_no_blocks() -> None:
    net = NetworkBuilder("plain")
    x = net.conv("conv", net.input("x", (1, 3, 7, 7)), 5, 3)
    plain = net.build()
    net.flatten("flat", net.activation("relu", net.normalisation("bn", x)))
    assert [block._replace(layer=0) for block in compiled(net.build()).blocks] == list(compiled(plain).blocks)


def test_a_layer_of_the_lanes_is_as_slow_as_its_operations_or_its_rows() -> None:
    net = NetworkBuilder("lanes")
    x = net.input("x", (1, 64, 12, 12))
    net.pool("pool", x, 3, stride=1)
    net.pool("pool2", x, 2)
    net.elementwise("add", x, net.elementwise("twice", x, x))
    cycles = [block.cycles for block in of_unit(compiled(net.build()), "activation")]
    # 64 channels on 256 lanes are four positions in a row: 9 x 100 / 4 for maxima of 3 x 3 at 100 positions, and
    # 4 x 36 / 4 for maxima of 2 x 2 at 36; sums of 144 / 4 rows, but twice as many to read
    assert cycles == [225, 36, 72, 72]


def test_a_step_on_the_lanes_takes_the_cycles_of_one_step() -> None:
    net = NetworkBuilder("steps")
    state = net.state("h", (5, 256))
    net.carry(state, net.elementwise("sum", state, net.input("x", (5, 256)), steps=7))
    # two operands of 5 rows each, and 5 x 256 sums
    assert [block.cycles for block in of_unit(compiled(net.build()), "activation")] == [2 * 5] * 7


@pytest.mark.parametrize(
    ("fmt", "fetch", "shift", "cycles", "fifo_tiles"),
    [("int8", 1425, 256, 7, 4), ("int8x16", 1425, 256, 2 * 7, 4), ("int16", 2849, 512, 4 * 7, 2)],
)
def test_formats_set_the_speed_and_the_size_of_a_tile(
    fmt: str, fetch: int, shift: int, cycles: int, fifo_tiles: int
) -> None:
    # 64 KiB at 30 GiB/s and 700 MHz: 65536 / 46.02 bytes a cycle, twice as many at 16 bits
    program = compiled(fully_connected(7, 5, 3), fmt)
    assert (program.fetch_cycles, program.shift_cycles, program.drain_cycles) == (fetch, shift, 510)
    assert program.fifo_tiles == fifo_tiles
    assert [block.cycles for block in of_unit(program, "tiles")] == [cycles]


def test_results_of_16_bits_take_two_rows_of_the_buffer_each() -> None:
    assert [block.cycles for block in of_unit(compiled(fully_connected(7, 5, 3), "int8x16"), "activation")] == [14]


def test_instructions_are_the_paper_s_with_a_synchronisation_before_what_waits() -> None:
    program = compiled(fully_connected(2, 5, 4, 3), **SMALL)
    # 4 outputs are 2 column tiles; the second layer's 4 inputs are one tile
    assert list(program.instructions()) == [
        Instruction("Read_Host_Memory", 0),
        *(Instruction(name, 1) for name in 2 * ("Read_Weights", "MatrixMultiply")),
        Instruction("Activate", 2),
        *(Instruction(name, 3) for name in ("Synchronize", "Read_Weights", "MatrixMultiply")),
        Instruction("Activate", 4),
        Instruction("Synchronize", 5),
        Instruction("Write_Host_Memory", 5),
    ]


def test_layers_that_are_convolutions_convolve() -> None:
    net = NetworkBuilder("both")
    net.linear("fc", net.flatten("flat", net.conv("conv", net.input("x", (1, 3, 5, 5)), 7, 3)), 2)
    network = net.build()
    program = compiled(network, **SMALL)
    convolves = frozenset(index for index, layer in enumerate(network.layers) if layer.kind == "conv")
    counts = Counter(instruction.name for instruction in program.instructions(convolves))
    # 27 products are 6 row tiles, 7 channels 3 column tiles; then 63 are 13 row tiles and 2 outputs one column tile
    assert counts == {
        "Read_Host_Memory": 1,
        "Read_Weights": 18 + 13,
        "Convolve": 18,
        "MatrixMultiply": 13,
        "Activate": 4,
        "Synchronize": 2,
        "Write_Host_Memory": 1,
    }


def test_a_fifo_that_holds_no_tile_is_an_error() -> None:
    with pytest.raises(InputError, match="chip 'tpu_v1': its weight FIFO does not hold one tile of int16 weights"):
        compiled(fully_connected(2, 5, 3), "int16", fifo_tiles=1)


def test_accumulators_that_hold_no_row_are_an_error() -> None:
    with pytest.raises(InputError, match="chip 'tpu_v1': its accumulators do not hold 256 sums of 64 bits"):
        compiled(fully_connected(2, 5, 3), "int16", accumulators=3)


def test_a_chunk_in_both_halves_needs_what_freed_the_second_and_is_needed_by_what_follows() -> None:
    # chunks of 2 images and 1 image of 8 positions in 22 rows: 16, then 8; 3 channels are one column tile
    program = compiled(network_of(conv((3, 5, 2, 4), 3, 1), conv((3, 5, 2, 4), 3, 1)), **SMALL)
    blocks = of_unit(program, "tiles")
    assert [(block.cycles, block.needs) for block in blocks] == [(16, (0,)), (8, (0, 3)), (16, (1, 5)), (8, (1, 7))]


@settings(max_examples=60, deadline=None)
@given(networks(), tpus(), st.sampled_from(WEIGHTS))
def test_blocks_of_any_network_name_only_earlier_ones(network: Network, parameters: dict[str, Any], fmt: str) -> None:
    program = compiled(network, fmt, **parameters)
    for number, block in enumerate(program.blocks):
        assert all(earlier < number for earlier in block.waits + block.needs)
        assert block.repeat >= 1
        assert block.cycles >= 1
        # results of the matrix unit leave it through an Activate before anything else sees them
        awaited = {program.blocks[earlier].unit for earlier in block.waits + block.needs}
        assert block.unit == "activation" or "tiles" not in awaited
    moved = sum(block.bits for block in of_unit(program, "host_out"))
    assert moved > 0


def test_layers_of_a_loop_that_do_not_stand_together_are_refused() -> None:
    net = NetworkBuilder("torn")
    x, state = net.input("x", (2, 5)), net.state("state", (2, 5))
    ahead = net.linear("ahead", state, 5, steps=2)
    given = net.linear("given", x, 5)
    net.carry(state, net.elementwise("sum", ahead, given, steps=2))
    with pytest.raises(InputError, match="'ahead' reads what 'sum' computed a step before"):
        compiled(net.build())


def test_a_chunk_behind_a_transpose_waits_for_all_of_what_it_reads() -> None:
    net = NetworkBuilder("transposed")
    x = net.linear("first", net.input("x", (10, 3)), 10)
    net.linear("second", net.layout("turned", x, (10, 10), "transpose"), 3)
    blocks = of_unit(compiled(net.build(), rows=5, cols=3, accumulators=10), "tiles")
    last = [block for block in blocks if block.layer == 2]
    written = {number for block in blocks if block.layer == 0 for number in block.needs}
    assert all(max(block.waits) > max(written, default=0) for block in last)
    assert len({block.waits for block in last}) == 1


def test_a_state_carried_to_the_next_run_keeps_its_place_to_the_end() -> None:
    net = NetworkBuilder("carrying")
    x, state = net.input("x", (1, 512)), net.state("s", (1, 512))
    kept = net.elementwise("kept", net.linear("in", x, 512), state)
    net.carry(state, kept)
    net.linear("out", net.linear("hidden", kept, 512), 512)
    places = {place.lifetime.tensor: place for place in compiled(net.build()).placements}
    end = max(place.lifetime.last for place in places.values())
    assert places["kept"].lifetime.last == end
    assert all(places[name].offset_bits != places["kept"].offset_bits for name in ("hidden", "out"))

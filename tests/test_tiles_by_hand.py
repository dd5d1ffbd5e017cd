"""The tile engine against schedules worked by hand: what overlaps, what waits for what, and who takes the cycles."""

from __future__ import annotations

from typing import Any

import pytest

from hwsim.engine import tiles_closed, tiles_events
from hwsim.engine.ledger import Cause
from hwsim.engine.tiles_closed import Schedule
from hwsim.engine.tiles_events import Tile
from hwsim.mapping.program import Block, Program

FETCH, SHIFT, DRAIN = 11, 5, 3


def program(*blocks: Block, **parameters: Any) -> Program:
    """Return a program on a machine with fetch 11, shift 5, drain 3 and four slots, unless told otherwise."""
    given = {"fetch_cycles": FETCH, "shift_cycles": SHIFT, "drain_cycles": DRAIN, "fifo_tiles": 4, "in_order": True}
    return Program(blocks, **{**given, **parameters})


def schedule(given: Program) -> Schedule:
    """Return the schedule, which the units as processes find as well."""
    layers = 1 + max((block.layer for block in given.blocks), default=0)
    closed, events = tiles_closed.run(given, layers), tiles_events.run(given, layers)
    assert closed.complete == events.complete
    assert closed.ledger.cycles == events.ledger.cycles
    assert sum(map(sum, closed.ledger.cycles)) == closed.total_cycles
    return closed


def tiles(given: Program) -> list[Tile]:
    """Return all tiles in order."""
    log = tiles_events.observe(given)
    return [tile for number in sorted(log.tiles) for tile in log.tiles[number]]


def causes(given: Program) -> dict[str, int]:
    """Return the cycles of all layers by cause, without those that have none."""
    return by_layer(given, *range(1 + max(block.layer for block in given.blocks)))


def by_layer(given: Program, *layers: int) -> dict[str, int]:
    """Return the cycles of some layers by cause, without those that have none."""
    rows = [schedule(given).ledger.cycles[layer] for layer in layers]
    summed = {cause.name.lower(): sum(row[cause] for row in rows) for cause in Cause}
    return {name: cycles for name, cycles in summed.items() if cycles}


def multiply(
    rows: int, repeat: int = 1, layer: int = 0, waits: tuple[int, ...] = (), needs: tuple[int, ...] = ()
) -> Block:
    return Block("tiles", layer, rows, repeat, waits, needs)


def activate(cycles: int, needs: int, layer: int = 0) -> Block:
    return Block("activation", layer, cycles, needs=(needs,))


def test_tiles_that_weights_hold_up_take_a_fetch_each() -> None:
    # fetched at 11 22 33 44, shifted at 16 27 38 49, used for 7 cycles from then on
    bound = program(multiply(7, 4))
    assert schedule(bound).complete == [11 + 5 + 3 * 11 + 7 + 3]
    assert tiles(bound)[:2] == [Tile(11, 16, 16, 23), Tile(22, 27, 27, 34)]
    # the second is fetched while the first is used, of its shift 23 to 27 shows; the drain is no cause of its own
    assert causes(bound) == {"active": 4 * 7, "weight_stall": 11, "weight_shift": 5 + 3 * 4, "other": 3}


def test_tiles_of_fewer_rows_wait_for_their_fetch_and_their_whole_shift() -> None:
    # used 16-18, 27-29, 38-40: from 18 until 22 nothing is fetched
    assert causes(program(multiply(2, 3))) == {"active": 6, "weight_stall": 11 + 2 * 4, "weight_shift": 15, "other": 3}


def test_tiles_that_the_shift_holds_up_take_a_shift_each() -> None:
    # fetched at 5 10 15, shifted at 16 27 38: the tile behind moves into use as soon as it is there
    bound = program(multiply(7, 3), fetch_cycles=5, shift_cycles=11)
    assert schedule(bound).complete == [5 + 11 + 2 * 11 + 7 + 3]
    assert causes(bound) == {"active": 3 * 7, "weight_stall": 5, "weight_shift": 11 + 2 * 4, "other": 3}


def test_tiles_that_the_matrix_unit_holds_up_take_their_rows_each() -> None:
    bound = program(multiply(13, 4))
    assert schedule(bound).complete == [11 + 5 + 3 * 13 + 13 + 3]
    assert causes(bound) == {"active": 4 * 13, "weight_stall": 11, "weight_shift": 5, "other": 3}


def test_tiles_go_on_without_a_pause_from_one_layer_to_the_next() -> None:
    bound = program(multiply(13, 2), multiply(17, 2, layer=1))
    assert schedule(bound).complete == [11 + 5 + 2 * 13 + 3, 11 + 5 + 2 * 13 + 2 * 17 + 3]
    assert by_layer(bound, 0) == {"active": 26, "weight_stall": 11, "weight_shift": 5}
    assert by_layer(bound, 1) == {"active": 34, "other": 3}


def test_a_tile_behind_shifts_once_the_one_before_moved_into_use() -> None:
    # the second is behind from 27 on and moves into use at 66; only then the third, fetched at 33, shifts in
    second, third = tiles(program(multiply(50, 3)))[1:]
    assert second == Tile(22, 27, 66, 116)
    assert third == Tile(33, 66 + 5, 116, 166)


def test_a_full_fifo_stops_the_fetch() -> None:
    # two slots: the first tile leaves its slot at 16, the second at 27, the third at 71 (above), the fourth at 121;
    # so the fourth is fetched from 33 on, the fifth from 71, the sixth from 121
    fetched = [tile.fetched for tile in tiles(program(multiply(50, 6), fifo_tiles=2))]
    assert fetched == [11, 22, 33, 44, 71 + 11, 121 + 11]
    # four slots: the fifth has the slot of the first, long free, and so on until the seventh has that of the third
    fetched = [tile.fetched for tile in tiles(program(multiply(50, 7)))]
    assert fetched == [11, 22, 33, 44, 55, 66, 71 + 11]


def test_a_fifo_of_one_tile_fetches_only_once_it_has_shifted_in() -> None:
    # fetched at 11, slot free at 16, fetched at 27, slot free at 32: 16 a tile
    single = program(multiply(7, 4), fifo_tiles=1)
    assert [tile.fetched for tile in tiles(single)] == [11, 27, 43, 59]
    assert schedule(single).complete == [11 + 5 + 3 * (11 + 5) + 7 + 3]
    # used 16-23, then 23-27 for the rest of the fetch and the whole shift
    assert causes(single) == {"active": 28, "weight_stall": 11 + 3 * 4, "weight_shift": 4 * 5, "other": 3}


def test_a_synchronisation_in_order_restarts_the_fetch_from_nothing() -> None:
    # used 16-23 and 27-34, sums out at 37, activated until 46; then fetched at 57 and 68, used 62-69 and 73-80
    awaited = program(multiply(7, 2), activate(9, 0), multiply(7, 2, layer=1, waits=(1,)))
    assert schedule(awaited).complete == [37, 46, 83]
    assert tiles(awaited)[2:] == [Tile(57, 62, 62, 69), Tile(68, 73, 73, 80)]
    # 34 to 46 waits for the first layer's result
    assert by_layer(awaited, 0) == {"active": 14, "weight_stall": 11, "weight_shift": 5 + 4, "raw_stall": 12}
    assert by_layer(awaited, 1) == {"active": 14, "weight_stall": 11, "weight_shift": 5 + 4, "other": 3}


def test_a_synchronisation_that_is_decoupled_does_not_stop_the_fetch() -> None:
    # fetched at 33 and 44, the third behind at 38; used from 46 when the result is there, the fourth behind at 51
    awaited = program(multiply(7, 2), activate(9, 0), multiply(7, 2, layer=1, waits=(1,)), in_order=False)
    assert schedule(awaited).complete == [37, 46, 63]
    assert tiles(awaited)[2:] == [Tile(33, 38, 46, 53), Tile(44, 51, 53, 60)]
    assert by_layer(awaited, 0) == {"active": 14, "weight_stall": 11, "weight_shift": 5 + 4, "raw_stall": 12}
    assert by_layer(awaited, 1) == {"active": 14, "other": 3}


def test_behind_a_synchronisation_in_order_blocks_that_wait_for_nothing_wait_as_well() -> None:
    # sums out at 26, activated until 35, given to the host until 54; the second layer reads neither
    blocks = (multiply(7), activate(9, 0), Block("host_out", 0, 19, waits=(1,)), multiply(7, layer=1))
    assert schedule(program(*blocks)).complete == [26, 35, 54, 35 + 11 + 5 + 7 + 3]
    # decoupled it follows the first: fetched at 22, used 27-34
    assert schedule(program(*blocks, in_order=False)).complete == [26, 35, 54, 37]


def test_weights_arrive_while_a_block_needs_what_the_host_sends() -> None:
    # there at 29; fetched at 11 22 33, the first behind at 16, the second at 34
    sent = program(Block("host_in", 0, 29), multiply(7, 3, needs=(0,)))
    assert tiles(sent) == [Tile(11, 16, 29, 36), Tile(22, 34, 36, 43), Tile(33, 41, 43, 50)]
    assert causes(sent) == {"active": 21, "input_stall": 29, "other": 3}


def test_weights_that_come_after_the_host_s_data_are_what_is_left_to_wait_for() -> None:
    # there at 7, fetched at 11, shifted at 16
    sent = program(Block("host_in", 0, 7), multiply(7, needs=(0,)))
    assert causes(sent) == {"active": 7, "input_stall": 7, "weight_stall": 4, "weight_shift": 5, "other": 3}


@pytest.mark.parametrize("in_order", [True, False])
def test_weights_that_the_host_sends_are_fetched_behind_it(in_order: bool) -> None:
    sent = program(Block("host_in", 0, 29), multiply(7, waits=(0,)), in_order=in_order)
    assert tiles(sent) == [Tile(29 + 11, 29 + 11 + 5, 45, 52)]
    assert causes(sent) == {"active": 7, "input_stall": 29, "weight_stall": 11, "weight_shift": 5, "other": 3}


def test_the_third_run_of_tiles_waits_for_the_half_of_the_accumulators_that_the_first_one_left() -> None:
    runs = (multiply(7), activate(50, 0), multiply(7), activate(50, 2))
    halves = program(*runs, multiply(7, needs=(1,)))
    # used 16-23 and 27-34; sums out at 26, so that the half is free at 76; the third has been behind since 38
    assert schedule(halves).complete == [26, 76, 37, 126, 86]
    assert tiles(halves)[2] == Tile(33, 38, 76, 83)
    # 34 to 76 waits for the first half, 83 to 126 for the second one's result
    assert causes(halves) == {
        "active": 3 * 7,
        "weight_stall": 11,
        "weight_shift": 5 + 4,
        "raw_stall": (76 - 34) + (126 - 83),
    }
    # with three parts it would not wait
    assert tiles(program(*runs, multiply(7)))[2] == Tile(33, 38, 38, 45)


def test_activates_run_one_after_the_other() -> None:
    # sums out at 26 and 37, the first activated until 45 and the second behind it
    assert schedule(program(multiply(7), activate(19, 0), multiply(7), activate(19, 2))).complete == [26, 45, 37, 64]


def test_a_result_goes_through_the_host_and_comes_back_as_weights() -> None:
    # used 16-23, out at 26, activated at 35, host at 35 + 13, back at 48 + 17, fetched at 76, shifted at 81
    trip = program(
        multiply(7),
        activate(9, 0),
        Block("host_out", 1, 13, waits=(1,)),
        Block("host_in", 1, 17, waits=(2,)),
        multiply(7, layer=1, waits=(1, 3)),
    )
    assert schedule(trip).complete == [26, 35, 48, 65, 91]
    assert tiles(trip)[1] == Tile(76, 81, 81, 88)
    assert by_layer(trip, 0) == {"active": 7, "weight_stall": 11, "weight_shift": 5, "raw_stall": 35 - 23}
    assert by_layer(trip, 1) == {
        "active": 7,
        "input_stall": 65 - 35,
        "weight_stall": 11,
        "weight_shift": 5,
        "other": 3,
    }


def test_the_host_s_two_directions_run_side_by_side() -> None:
    both = program(Block("host_in", 0, 13), Block("host_out", 0, 17), Block("host_in", 0, 19), multiply(7, needs=(2,)))
    assert schedule(both).complete == [13, 17, 13 + 19, 32 + 7 + 3]


def test_waits_for_results_are_given_to_the_layers_whose_results_they_are() -> None:
    # layer 0's sums are out at 26 and activated at 31; then a layer of 13 and one of 17 cycles on the lanes
    lanes = program(multiply(7), activate(5, 0), activate(13, 1, layer=1), activate(17, 2, layer=2))
    chain = program(*lanes.blocks, multiply(7, layer=3, waits=(3,)))
    assert schedule(chain).complete == [26, 31, 44, 61, 61 + 11 + 5 + 7 + 3]
    assert by_layer(chain, 0)["raw_stall"] == 31 - 23
    assert by_layer(chain, 1) == {"raw_stall": 13}
    assert by_layer(chain, 2) == {"raw_stall": 17}
    assert by_layer(chain, 3) == {"active": 7, "weight_stall": 11, "weight_shift": 5, "other": 3}


def test_what_follows_the_last_tile_belongs_to_the_results_and_then_to_the_last_layer() -> None:
    # used until 23, activated from 26 to 35, given to the host until 54
    ending = program(multiply(7), activate(9, 0), Block("host_out", 1, 19, waits=(1,)))
    assert by_layer(ending, 0) == {"active": 7, "weight_stall": 11, "weight_shift": 5, "raw_stall": 35 - 23}
    assert by_layer(ending, 1) == {"other": 19}


def test_a_long_run_repeats_its_last_cycle_s_causes() -> None:
    # 998 more tiles like the second: 7 in use, 4 of their shift showing
    long = program(multiply(7, 1000))
    assert schedule(long).total_cycles == 11 + 5 + 999 * 11 + 7 + 3
    assert causes(long) == {"active": 7000, "weight_stall": 11, "weight_shift": 5 + 999 * 4, "other": 3}


def test_a_machine_without_fetch_shift_and_drain_only_multiplies() -> None:
    ideal = program(multiply(7, 5), fetch_cycles=0, shift_cycles=0, drain_cycles=0)
    assert causes(ideal) == {"active": 35}


def test_a_program_of_no_tiles_is_as_long_as_its_last_block() -> None:
    assert schedule(program()).total_cycles == 0
    assert schedule(program(Block("host_in", 0, 13), activate(5, 0))).complete == [13, 13 + 5]


def test_a_program_without_its_host_link_waits_only_for_the_rest() -> None:
    whole = program(
        Block("host_in", 0, 29), multiply(7, needs=(0,)), activate(9, 1), Block("host_out", 0, 19, waits=(2,))
    )
    assert schedule(whole).complete == [29, 39, 48, 67]
    assert schedule(whole.without_host()).complete == [0, 26, 35, 35]

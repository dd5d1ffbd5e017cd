"""The tile engine: the closed schedule, the units as processes and a plain loop agree, and obey the machine's laws."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import LAYERS, WEIGHTS, compiled, networks, programs, tpus

import hwsim
from hwsim import catalog
from hwsim.chips.tpu_v1 import tpu_v1
from hwsim.engine import tiles_closed, tiles_events
from hwsim.engine.ledger import Cause
from hwsim.engine.tiles_events import Tile
from hwsim.ir import Layer, Network
from hwsim.mapping.program import Block, Program
from hwsim.mapping.tiled import place_tiled
from hwsim.units import ceil_div

EVENTS_PER_TILE, EVENTS_PER_BLOCK, EVENTS_PER_RUN = 11, 9, 20


def latest(complete: list[int], numbers: tuple[int, ...]) -> int:
    return max((complete[number] for number in numbers), default=0)


def plain(program: Program) -> tuple[list[int], list[tuple[int, Tile]]]:
    """Return when each block is complete, and every tile with its block: one after the other, each from the last."""
    complete: list[int] = []
    done: list[tuple[int, Tile]] = []
    issued, free = 0, Counter[str]()
    for number, block in enumerate(program.blocks):
        issued = max(issued, latest(complete, block.waits)) if program.in_order else 0
        ready = max(issued, latest(complete, block.waits + block.needs))
        if block.unit != "tiles":
            free[block.unit] = max(free[block.unit], ready) + block.cycles
            complete.append(free[block.unit])
            continue
        sent = tuple(one for one in block.waits if program.blocks[one].unit == "host_in")
        for _ in range(block.repeat):
            last = done[-1][1] if done else Tile(0, 0, 0, 0)
            slot = done[-program.fifo_tiles][1].shifted if len(done) >= program.fifo_tiles else 0
            fetched = max(last.fetched, slot, issued, latest(complete, sent)) + program.fetch_cycles
            shifted = max(fetched, last.start) + program.shift_cycles
            start = max(shifted, last.end, ready)
            done.append((number, Tile(fetched, shifted, start, start + block.cycles)))
        complete.append(done[-1][1].end + program.drain_cycles)
    return complete, done


def by_cycle(program: Program, complete: list[int], done: list[tuple[int, Tile]]) -> list[list[int]]:
    """Return the cycles of each layer by cause, asking of every single cycle whose it is."""
    cycles = [[0] * len(Cause) for _ in range(LAYERS)]
    blocks, at = program.blocks, 0

    def wait(until: int, before: int, layer: int, cause: Cause) -> None:
        """Give each cycle until `until` to the next result that comes by then, of what precedes block `before`."""
        nonlocal at
        results = [number for number in range(before) if blocks[number].unit == "activation"]
        for cycle in range(at, until):
            comes = (blocks[number].layer for number in results if cycle < complete[number] <= until)
            whose = next(comes, None)
            cycles[layer if whose is None else whose][cause if whose is None else Cause.RAW_STALL] += 1
        at = max(at, until)

    previous = None
    for number, tile in done:
        block = blocks[number]
        if number != previous:
            for numbers in (block.waits, block.needs):
                wait(latest(complete, numbers), number, block.layer, Cause.INPUT_STALL)
        previous = number
        for cycle in range(at, tile.end):
            if cycle < tile.fetched:
                cycles[block.layer][Cause.WEIGHT_STALL] += 1
            elif cycle < tile.shifted:
                cycles[block.layer][Cause.WEIGHT_SHIFT] += 1
            elif cycle < tile.start:
                cycles[block.layer][Cause.OTHER] += 1
            else:
                cycles[block.layer][Cause.ACTIVE] += 1
        at = max(at, tile.end)
    wait(max(complete), len(blocks), blocks[-1].layer, Cause.OTHER)
    return cycles


@settings(max_examples=150, deadline=None)
@given(programs())
def test_closed_and_events_and_a_plain_loop_agree_on_every_completion_and_every_cycle(program: Program) -> None:
    complete, done = plain(program)
    closed, events = tiles_closed.run(program, LAYERS), tiles_events.run(program, LAYERS)
    assert closed.complete == events.complete == complete
    assert closed.ledger.cycles == events.ledger.cycles == by_cycle(program, complete, done)
    log = tiles_events.observe(program)
    assert [(number, tile) for number in sorted(log.tiles) for tile in log.tiles[number]] == done


@settings(max_examples=150, deadline=None)
@given(programs(longest=500, slowest=60))
def test_long_runs_of_tiles_end_where_they_end_tile_by_tile(program: Program) -> None:
    complete, done = plain(program)
    tiles: dict[int, list[Tile]] = {}
    for number, tile in done:
        tiles.setdefault(number, []).append(tile)
    closed = tiles_closed.run(program, LAYERS)
    assert closed.complete == complete
    log = tiles_events.Log([], complete, tiles, 0)
    assert closed.ledger.cycles == tiles_events.account(program, log, LAYERS).cycles


def test_a_run_of_a_million_tiles_is_closed_in_a_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program((Block("tiles", 0, 7, 10**6),), 11, 5, 3, 4, in_order=True)
    steps = Counter[str]()
    step = tiles_closed._Machine._tile

    def counted(machine: tiles_closed._Machine, block: Block, reading: int, ready: int) -> None:
        steps["tiles"] += 1
        step(machine, block, reading, ready)

    monkeypatch.setattr(tiles_closed._Machine, "_tile", counted)
    assert tiles_closed.run(program, 1).total_cycles == 11 + 5 + (10**6 - 1) * 11 + 7 + 3
    # four fill the FIFO, one more has a full one before it, two repeat
    assert steps["tiles"] <= 4 + 1 + 2


@settings(max_examples=100, deadline=None)
@given(programs())
def test_every_cycle_is_given_to_one_cause(program: Program) -> None:
    schedule = tiles_closed.run(program, LAYERS)
    assert sum(map(sum, schedule.ledger.cycles)) == max(schedule.complete) == schedule.total_cycles
    assert min(map(min, schedule.ledger.cycles)) >= 0


@settings(max_examples=100, deadline=None)
@given(programs())
def test_no_program_ends_before_its_busiest_unit(program: Program) -> None:
    busy: Counter[str] = Counter()
    for block in program.blocks:
        busy[block.unit] += block.repeat * block.cycles
        if block.unit == "tiles":
            busy["weight memory"] += block.repeat * program.fetch_cycles
            busy["weight shift"] += block.repeat * program.shift_cycles
    assert tiles_closed.run(program, LAYERS).total_cycles >= max(busy.values())


@settings(max_examples=100, deadline=None)
@given(programs())
def test_no_block_is_complete_before_what_it_waits_for(program: Program) -> None:
    complete = tiles_closed.run(program, LAYERS).complete
    for block, at in zip(program.blocks, complete, strict=True):
        assert at >= latest(complete, block.waits + block.needs) + block.cycles


@settings(max_examples=150, deadline=None)
@given(
    programs(), st.integers(1, 9), st.sampled_from(["fetch_cycles", "shift_cycles", "drain_cycles", "block"]), st.data()
)
def test_nothing_is_complete_earlier_where_something_takes_longer(
    program: Program, more: int, what: str, data: st.DataObject
) -> None:
    if what == "block":
        blocks = list(program.blocks)
        number = data.draw(st.integers(0, len(blocks) - 1))
        blocks[number] = blocks[number]._replace(cycles=blocks[number].cycles + more)
        slower = replace(program, blocks=tuple(blocks))
    else:
        slower = replace(program, **{what: getattr(program, what) + more})
    fast, slow = (tiles_closed.run(one, LAYERS).complete for one in (program, slower))
    assert all(late >= early for early, late in zip(fast, slow, strict=True))


@settings(max_examples=100, deadline=None)
@given(programs())
def test_nothing_is_complete_earlier_with_a_shallower_fifo(program: Program) -> None:
    depths = [tiles_closed.run(replace(program, fifo_tiles=tiles), LAYERS).complete for tiles in (1, 2, 3, 4)]
    assert all(late >= early for some, more in pairwise(depths) for late, early in zip(some, more, strict=True))


@settings(max_examples=100, deadline=None)
@given(programs())
def test_nothing_is_complete_later_with_decoupled_issue(program: Program) -> None:
    decoupled, in_order = (
        tiles_closed.run(replace(program, in_order=order), LAYERS).complete for order in (False, True)
    )
    assert all(early <= late for early, late in zip(decoupled, in_order, strict=True))


@settings(max_examples=50, deadline=None)
@given(programs())
def test_a_host_link_that_takes_no_time_makes_nothing_later(program: Program) -> None:
    without, with_host = (tiles_closed.run(one, LAYERS).complete for one in (program.without_host(), program))
    assert all(early <= late for early, late in zip(without, with_host, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 50), *(st.integers(0, 40) for _ in range(4)), st.integers(1, 5))
def test_tiles_on_an_idle_machine_take_the_slowest_of_fetch_shift_and_rows_each(
    count: int, rows: int, fetch: int, shift: int, drain: int, fifo_tiles: int
) -> None:
    program = Program((Block("tiles", 0, rows, count),), fetch, shift, drain, fifo_tiles, in_order=True)
    # a single slot is free again once its tile has shifted in
    period = max(fetch, shift, rows) if fifo_tiles > 1 else max(fetch + shift, rows)
    assert tiles_closed.run(program, 1).total_cycles == fetch + shift + (count - 1) * period + rows + drain


def events_allowed(program: Program) -> int:
    tiles = program.tiles_by_layer.total()
    return EVENTS_PER_TILE * tiles + EVENTS_PER_BLOCK * len(program.blocks) + EVENTS_PER_RUN


@settings(max_examples=50, deadline=None)
@given(programs())
def test_events_are_a_few_per_tile_and_block_however_long_they_take(program: Program) -> None:
    blocks = tuple(block._replace(cycles=1000 * block.cycles) for block in program.blocks)
    longer = replace(program, blocks=blocks, fetch_cycles=1000 * program.fetch_cycles)
    assert tiles_events.observe(program).events <= events_allowed(program)
    assert tiles_events.observe(longer).events <= events_allowed(program)


QUICK = ("tpu_apps:app=MLP0", "tpu_apps:app=LSTM1", "tpu_apps:app=CNN0", "resnet", "alexnet")


@pytest.mark.parametrize("spec", QUICK)
@pytest.mark.parametrize("issue", ["in_order", "decoupled"])
def test_networks_need_few_events_and_end_as_the_closed_schedule_says(spec: str, issue: str) -> None:
    network = catalog.network(spec)
    program = compiled(network, network.format or "int8", issue=issue)
    log = tiles_events.observe(program)
    assert log.events <= events_allowed(program)
    closed = tiles_closed.run(program, len(network.layers))
    assert closed.complete == log.complete == plain(program)[0]
    assert closed.ledger.cycles == tiles_events.account(program, log, len(network.layers)).cycles


def tiles_by_hand(layer: Layer, parameters: dict[str, Any], fmt: str) -> int:
    """Return the tiles of weights that a layer reads: all of its tiles for every chunk of its positions."""
    chip, number_format = tpu_v1(**parameters), catalog.number_format(fmt)
    chunk = place_tiled(layer, chip, number_format, "weight_stationary_tiled").folding.chunk
    columns, rows = ceil_div(layer.K, parameters["cols"]), ceil_div(layer.reduction, parameters["rows"])
    return layer.steps * layer.G * ceil_div(layer.positions, chunk) * columns * rows


@settings(max_examples=60, deadline=None)
@given(networks(), tpus(), st.sampled_from(WEIGHTS))
def test_networks_compiled_for_any_size_agree_and_read_the_tiles_counted_by_hand(
    network: Network, parameters: dict[str, Any], fmt: str
) -> None:
    program, layers = compiled(network, fmt, **parameters), len(network.layers)
    closed, events = tiles_closed.run(program, layers), tiles_events.run(program, layers)
    assert closed.complete == events.complete == plain(program)[0]
    assert closed.ledger.cycles == events.ledger.cycles
    speed = {"int8": 4, "int8x16": 2, "int16": 1}[fmt]
    for index, layer in enumerate(network.layers):
        if layer.is_mac:
            assert program.tiles_by_layer[index] == tiles_by_hand(layer, parameters, fmt)
        active = closed.ledger.cycles[index][Cause.ACTIVE]
        assert active * parameters["rows"] * parameters["cols"] * speed >= 4 * layer.macs


def test_simulate_gives_the_same_rows_at_both_fidelities() -> None:
    chip = "tpu_v1:rows=5,cols=3,accumulators=22,bandwidth_gib_s=1"
    closed, stepped = (
        hwsim.simulate("lstm:steps=2,hidden=3,inputs=7,batch=2", on=chip, fidelity=fidelity)
        for fidelity in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows
    assert closed.extras == stepped.extras

"""Chunks of positions that pass a tile of weights: as long as the accumulators and the next tile's weights ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import QUICK, SMALL, WEIGHTS, compiled, tpus
from strategies import conv, linear, network_of, products

from hwsim import catalog
from hwsim.chips.tpu_v1 import tpu_v1
from hwsim.engine import tiles_events
from hwsim.ir import Layer
from hwsim.mapping.tiled import accumulator_rows, chunk_rows, place_tiled

positions = st.one_of(
    st.builds(lambda n: linear(n, 2, 3), st.integers(1, 500)),
    st.builds(lambda n, h, w: conv((n, 1, h, w), 1, 1), *(st.integers(1, most) for most in (40, 20, 9))),
)
"""Layers of up to 500 rows, or up to 40 images of up to 20 x 9 positions."""


@settings(max_examples=200, deadline=None)
@given(positions, st.integers(1, 300))
def test_chunks_are_as_few_as_fit_equal_and_of_whole_images_where_one_fits(layer: Layer, room: int) -> None:
    chunk, image = chunk_rows(layer, room), layer.P * layer.Q
    assert 1 <= chunk <= room
    unit = image if image <= room else 1
    assert chunk % unit == 0
    units, most = layer.positions // unit, room // unit
    fewest = -(-units // most)
    # the longest of as few chunks as fit is no longer than equal parts, rounded up, have to be
    assert -(-layer.positions // chunk) == fewest
    assert chunk // unit == -(-units // fewest)


@pytest.mark.parametrize(
    ("layer", "room", "chunk"),
    [
        (linear(2000, 3, 2), 2048, 2000),
        (linear(2049, 3, 2), 2048, 1025),
        # 5 of 8 images of 19 x 19 fit: 4 and 4
        (conv((8, 3, 19, 19), 2, 1), 2048, 4 * 361),
        # 2 of 7 images of 29 x 29 fit: 2 2 2 1
        (conv((7, 3, 29, 29), 2, 1), 2048, 2 * 841),
        (conv((1, 3, 57, 57), 2, 1), 2048, 1625),
    ],
)
def test_chunks_by_hand(layer: Layer, room: int, chunk: int) -> None:
    assert chunk_rows(layer, room) == chunk


def chunks(layer: Layer, fmt: str = "int8", **parameters: Any) -> list[int]:
    """Return the positions of each chunk of a layer."""
    chip, number_format = tpu_v1(**parameters), catalog.number_format(fmt)
    f = place_tiled(layer, chip, number_format, "weight_stationary_tiled").folding
    return [min(f.chunk, f.stream_extent - start) for start in range(0, f.stream_extent, f.chunk)]


@pytest.mark.parametrize(
    ("layer", "fmt", "expected"),
    [
        # a tile takes 5 cycles to shift in, which 5 rows hide; 4 rows take one more, but are read out 4 cycles earlier
        (linear(10, 5, 3), "int8", [5, 5]),
        (linear(8, 5, 3), "int8", [4, 4]),
        (linear(4, 5, 3), "int8", [4]),
        # whole images: half of 9 positions, 5, holds one of 3
        (conv((3, 1, 3, 1), 2, 1), "int8x16", [3, 3, 3]),
        (conv((2, 1, 5, 1), 2, 1), "int8", [5, 5]),
    ],
)
def test_a_stream_that_fits_is_halved_where_its_first_half_is_read_out_in_time(
    layer: Layer, fmt: str, expected: list[int]
) -> None:
    assert chunks(layer, fmt, **QUICK) == expected
    # 11 rows do not hide 98 cycles
    assert chunks(layer, fmt, **SMALL) == [layer.positions]


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "expected"),
    [
        # both halves at once would wait 510 + 2800 cycles after each of the 4 products: 1400 rows, though a tile of
        # weights takes 1425 cycles, are quicker while there are few row tiles
        (2800, 256, 1024, [1400, 1400]),
        (2800, 2304, 1024, [1400, 1400]),
        # 9 x 1425 cycles twice are more than 9 x 2200 and 510 + 2200
        (2200, 2304, 2304, [2200]),
    ],
)
def test_both_halves_are_filled_where_reading_tiles_twice_takes_longer_than_reading_out(
    rows: int, inputs: int, outputs: int, expected: list[int]
) -> None:
    assert chunks(linear(rows, inputs, outputs)) == expected


@pytest.mark.parametrize(
    ("layer", "one_half", "both"),
    [
        (linear(12, 5, 3), [6, 6], [12]),
        (linear(33, 5, 3), [11, 11, 11], [17, 16]),
        (conv((3, 5, 2, 4), 3, 1), [8, 8, 8], [16, 8]),
    ],
)
def test_chunks_that_do_not_hide_the_next_tile_fill_both_halves(
    layer: Layer, one_half: list[int], both: list[int]
) -> None:
    assert chunks(layer, **QUICK) == one_half
    assert chunks(layer, **SMALL) == both


@settings(max_examples=100, deadline=None)
@given(st.lists(products(), min_size=1, max_size=3), tpus(), st.sampled_from(WEIGHTS))
def test_sums_never_need_more_accumulators_than_there_are(
    layers: list[Layer], parameters: dict[str, Any], fmt: str
) -> None:
    parameters = {**parameters, "accumulators": min(130, parameters["accumulators"])}
    program = compiled(network_of(*layers), fmt, **parameters)
    log = tiles_events.observe(program)
    # an Activate takes a cycle per row of sums, two where results have 16 bits; int16 sums are two rows
    per_cycle = {"int8": 1.0, "int8x16": 0.5, "int16": 1.0}[fmt]
    held: list[tuple[int, float]] = []
    for number, block in enumerate(program.blocks):
        if block.unit == "tiles":
            held = [(until, rows) for until, rows in held if until > log.began[number]]
            held.append((log.complete[number + 1], program.blocks[number + 1].cycles * per_cycle))
            assert sum(rows for _, rows in held) <= parameters["accumulators"]


def test_accumulators_of_any_number_hold_the_whole_rows_of_half() -> None:
    # half of 23 rows of 3 sums of 32 bits are 1104 bits, 11 rows; int16 sums are twice as wide
    chip = tpu_v1(rows=5, cols=3, accumulators=23)
    assert [accumulator_rows(chip, catalog.number_format(fmt)) for fmt in WEIGHTS] == [11, 11, 5]

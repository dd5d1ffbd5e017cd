"""The unified buffer: tensors that live at once lie apart, and what a network needs of it."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import WEIGHTS, compiled, networks, tpus

from hwsim import catalog
from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder
from hwsim.mapping.program import Program
from hwsim.mapping.unified_buffer import Lifetime, Placement, allocate, peak_bits, rows_of

ROW_BITS = 256 * 8
"""A row of the buffer."""


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    """Draw tensors of a few bits, none included, and when they live."""
    found = []
    for index in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, 9))
        found.append(Lifetime(f"t{index}", draw(st.integers(0, 11)), first, first + draw(st.integers(0, 5))))
    return found


def overlap(one: Placement, other: Placement) -> bool:
    """Return whether two places share a bit at some time."""
    at_once = one.lifetime.first <= other.lifetime.last and other.lifetime.first <= one.lifetime.last
    return at_once and max(one.offset_bits, other.offset_bits) < min(one.end_bits, other.end_bits)


def apart(places: list[Placement]) -> bool:
    return not any(overlap(one, other) for index, one in enumerate(places) for other in places[:index])


def most_alive(tensors: list[Lifetime]) -> int:
    """Return the most bits that live at a time."""
    times = {one.first for one in tensors}
    return max((sum(one.size_bits for one in tensors if one.first <= at <= one.last) for at in times), default=0)


def offsets(*tensors: Lifetime) -> dict[str, int]:
    return {place.lifetime.tensor: place.offset_bits for place in allocate(tensors)}


@settings(max_examples=200, deadline=None)
@given(lifetimes())
def test_tensors_that_live_at_once_lie_apart(tensors: list[Lifetime]) -> None:
    places = allocate(tensors)
    assert sorted(place.lifetime for place in places) == sorted(tensors)
    assert min((place.offset_bits for place in places), default=0) == 0
    assert apart(places)


@settings(max_examples=200, deadline=None)
@given(lifetimes())
def test_the_peak_is_at_least_what_lives_at_once_and_at_most_all(tensors: list[Lifetime]) -> None:
    assert most_alive(tensors) <= peak_bits(allocate(tensors)) <= sum(one.size_bits for one in tensors)


@settings(max_examples=50, deadline=None)
@given(lifetimes(), st.data())
def test_places_do_not_depend_on_the_order_of_tensors(tensors: list[Lifetime], data: st.DataObject) -> None:
    assert allocate(data.draw(st.permutations(tensors))) == allocate(tensors)


def test_larger_tensors_go_first_each_to_the_lowest_gap_that_holds_it() -> None:
    # 13 and 11 live at once; 7 lives with 13 alone and takes the place above it; 5 lives with 11, which begins at 13
    assert offsets(
        Lifetime("a", 13, 0, 3), Lifetime("b", 11, 2, 5), Lifetime("c", 7, 0, 1), Lifetime("d", 5, 4, 6)
    ) == {"a": 0, "b": 13, "c": 13, "d": 0}
    # 3 lives with 11 and 5: between them, from 5 on
    assert offsets(
        Lifetime("a", 13, 0, 3), Lifetime("b", 11, 2, 5), Lifetime("d", 5, 4, 6), Lifetime("e", 3, 5, 5)
    ) == {"a": 0, "b": 13, "d": 0, "e": 5}


def test_a_tensor_read_when_another_is_written_still_has_its_place() -> None:
    assert offsets(Lifetime("read", 7, 0, 2), Lifetime("written", 5, 2, 3)) == {"read": 0, "written": 7}
    assert offsets(Lifetime("read", 7, 0, 2), Lifetime("later", 5, 3, 3)) == {"read": 0, "later": 0}


def test_an_empty_buffer_has_no_peak() -> None:
    assert peak_bits(allocate([])) == 0


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((), 1),
        ((1,), 1),
        ((600,), 3),
        # channels of images are their second dimension: four positions of 64 channels in a row
        ((1, 64, 7, 7), 13),
        ((5, 64, 7, 7), 62),
        ((2, 256, 3, 5), 30),
        ((2, 600, 3, 5), 3 * 30),
        # of anything else the last
        ((200, 2000), 8 * 200),
        ((3, 5, 64), 4),
        # two positions of 100 channels
        ((7, 100), 4),
        ((1, 3, 11, 11), 2),
    ],
)
def test_a_row_holds_as_many_positions_as_their_channels_allow(shape: tuple[int, ...], rows: int) -> None:
    assert rows_of(shape, 256) == rows


@given(st.lists(st.integers(1, 40), max_size=4).map(tuple), st.integers(1, 40))
def test_rows_hold_all_elements_and_are_at_least_half_full_but_for_one(shape: tuple[int, ...], lanes: int) -> None:
    rows = rows_of(shape, lanes)
    assert rows * lanes >= prod(shape)
    assert 2 * prod(shape) > (rows - 1) * lanes


def sizes(program: Program) -> dict[str, int]:
    """Return the rows of the buffer that each tensor has."""
    return {place.lifetime.tensor: place.lifetime.size_bits // ROW_BITS for place in program.placements}


def peak_bytes(program: Program) -> int:
    return program.buffer_peak_bits // 8


def test_cnn0_holds_what_a_convolution_reads_and_what_it_gives() -> None:
    # 8 images of 19 x 19 positions of 256 channels, twice: 1.48 MB
    assert peak_bytes(compiled(catalog.network("tpu_apps:app=CNN0"))) == 2 * 8 * 361 * 256 == 1478656


def test_mlp0_holds_two_rows_of_vectors() -> None:
    # 2000 values are 8 rows of 256
    assert peak_bytes(compiled(catalog.network("tpu_apps:app=MLP0"))) == 2 * 200 * 8 * 256


def test_values_of_16_bits_take_twice_the_room() -> None:
    mlp0 = catalog.network("tpu_apps:app=MLP0")
    assert peak_bytes(compiled(mlp0, "int8x16")) == peak_bytes(compiled(mlp0, "int16")) == 4 * 200 * 8 * 256


def test_what_a_later_layer_reads_keeps_its_place_until_then() -> None:
    # 300 values are 2 rows; all of "a", "b" and "c" live while "sum" is computed from "a" and "c"
    net = NetworkBuilder("skip")
    a = net.linear("a", net.input("x", (1, 300)), 300)
    net.elementwise("sum", a, net.linear("c", net.linear("b", a, 300), 300))
    program = compiled(net.build())
    assert sizes(program) == {"x": 2, "a": 2, "b": 2, "c": 2, "sum": 2}
    assert program.buffer_peak_bits == 3 * 2 * ROW_BITS


def test_functions_of_results_and_changes_of_layout_have_no_place_of_their_own() -> None:
    net = NetworkBuilder("names")
    x = net.activation("relu", net.conv("conv", net.input("x", (1, 3, 7, 7)), 5, 3))
    net.concatenation("both", net.flatten("flat", x), net.linear("fc", net.flatten("flat2", x), 11))
    # 49 positions of 3 channels, 85 in a row; 25 positions of 5 channels, 51 in a row
    assert sizes(compiled(net.build())) == {"x": 1, "conv": 1, "fc": 1}


def test_a_change_of_layout_that_repeats_elements_has_room_for_all_of_them() -> None:
    net = NetworkBuilder("repeat")
    net.linear("fc", net.layout("tile", net.input("x", (1, 256)), (5, 256), "tile"), 256)
    program = compiled(net.build())
    assert sizes(program) == {"x": 1, "tile": 5, "fc": 5}
    assert program.buffer_peak_bits == (1 + 5 + 5) * ROW_BITS


def test_activations_that_do_not_fit_are_an_error_that_names_batch_and_mib() -> None:
    # 20,000 vectors of 2 KiB, read and written: 78.125 MiB
    message = (
        r"network 'MLP0' needs 78\.1 MiB for activations at batch 20000, most of all for layer 'fc1', "
        r"but the unified buffer holds 24\.0 MiB; a smaller batch needs less"
    )
    with pytest.raises(InputError, match=message):
        compiled(catalog.network("tpu_apps:app=MLP0,batch=20000"))


def test_activations_that_just_fit_are_no_error_and_one_more_is_told_apart_from_what_fits() -> None:
    # 6144 vectors of 2 KiB, twice: 24 MiB; one more of each is 4 / 1024 MiB
    assert peak_bytes(compiled(catalog.network("tpu_apps:app=MLP0,batch=6144"))) == 24 * 2**20
    with pytest.raises(InputError, match=r"needs 24\.004 MiB .* holds 24\.000 MiB; a smaller batch needs less"):
        compiled(catalog.network("tpu_apps:app=MLP0,batch=6145"))


def test_a_network_that_does_not_fit_at_batch_1_is_not_told_to_take_a_smaller_one() -> None:
    # 784 values are 4 rows of 256 bytes, 300 are 2: 1.5 KiB, where 0.001 MiB are 1.024
    with pytest.raises(InputError, match=r"needs 0\.0015 MiB for .* batch 1, .* but .* holds 0\.0010 MiB$"):
        compiled(catalog.network("mlp"), buffer_mib=0.001)


@settings(max_examples=60, deadline=None)
@given(networks(), tpus(), st.sampled_from(WEIGHTS))
def test_what_the_blocks_of_any_network_read_and_write_lies_apart(
    network: Network, parameters: dict[str, object], fmt: str
) -> None:
    program = compiled(network, fmt, **parameters)
    assert apart(list(program.placements))
    assert most_alive([place.lifetime for place in program.placements]) <= program.buffer_peak_bits
    last = len(program.blocks) - 1
    assert all(0 <= place.lifetime.first <= place.lifetime.last <= last for place in program.placements)

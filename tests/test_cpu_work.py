"""What operators of a CPU's library do, and what that takes: whole vectors and tiles, caches, threads, calls."""

from __future__ import annotations

from math import exp, inf

import pytest
from strategies import conv, linear, network_of

from hwsim import catalog
from hwsim.ir import Layer, Network, NetworkBuilder
from hwsim.mapping.cpu.around import surroundings
from hwsim.mapping.cpu.constants import Constants
from hwsim.mapping.cpu.machine import Cache, Curve, Machine
from hwsim.mapping.cpu.times import overlapped, seconds
from hwsim.mapping.cpu.work import columns, heaviest_share, threads_of, work_of


def machine(threads: int = 1, keep_s: float = inf) -> Machine:
    """Return 1 GHz, 10 MACs per cycle; 100 KB at 8, 1 MB at 4, memory at 2 bytes/ns between all threads."""
    caches = (Cache(1e5, 8e9), Cache(1e6, 4e9))
    return Machine(threads, 10**9, {"fp32": 10.0}, {}, 16, caches, 2e9, 2e9, keep_s)


def only(network: Network) -> Layer:
    return network.layers[0]


def test_data_come_from_the_cache_that_holds_them() -> None:
    curve = Curve(machine())
    assert curve(7e4) == pytest.approx(1 / 8e9)
    assert curve(5e5) == pytest.approx(1 / 4e9)
    assert curve(1e8) == pytest.approx(1 / 2e9)


def test_two_threads_hold_twice_as_much_in_their_caches() -> None:
    assert Curve(machine(2))(1.4e6) == pytest.approx(Curve(machine(1))(7e5))


def test_a_larger_working_set_is_never_faster() -> None:
    curve = Curve(machine())
    costs = [curve(2.0**power) for power in range(8, 40)]
    assert costs == sorted(costs)


def test_a_shared_cache_loses_what_is_not_read_for_long() -> None:
    # after keep_s, 1/e of it is there: 1/e at 4 and the rest at 2 bytes/ns
    cost = Curve(machine()).kept(5e5, away_s=1e-3, keep_s=1e-3)
    assert cost == pytest.approx(exp(-1) / 4e9 + (1 - exp(-1)) / 2e9)
    assert Curve(machine()).kept(5e5, away_s=1e3, keep_s=inf) == pytest.approx(1 / 4e9)


def test_cold_caches_hold_nothing() -> None:
    assert Curve(machine()._replace(cold=True))(1.0) == 1 / 2e9


def test_filters_fill_whole_vectors_and_channels_whole_blocks() -> None:
    # 17 filters are two vectors of 16, 5 channels all there are; 7 x 11 outputs of 3 x 3 taps
    work = work_of(only(network_of(conv((1, 5, 7, 11), 17, 3, padding=1))), "fp32", 32, 16)
    assert work.macs == 32 * 5 * 9 * 7 * 11
    assert work.visit == 5 * 9


def test_columns_at_the_padding_and_left_over_are_outside_tiles() -> None:
    # 13 columns: one at either padding, 11 inside, of which 6 are a tile
    assert columns(only(network_of(conv((1, 5, 7, 13), 17, 3, padding=1)))) == (6, 7)


def test_int8_convolutions_of_three_channels_are_copied_into_a_matrix() -> None:
    # 25 outputs of 9 taps, each of 3 channels and 4 elements' time to start a copy; tiles take 64 products at once
    three, four = (work_of(only(network_of(conv((1, c, 7, 7), 5, 3))), "int8", 8, 16) for c in (3, 4))
    assert (three.op_class, three.gathered, three.rounded) == ("gathered", 25 * 9 * (3 + 4), 25 * 5)
    assert three.macs == 25 * 16 * 64
    # the matrix of one image, in bytes, and its sums of 4 bytes
    assert three.scratch_bytes == 25 * (27 + 4 * 5)
    assert (four.op_class, four.gathered, four.rounded) == ("conv", 0, 25 * 5)


def test_threads_share_rows_of_all_sets_so_that_one_has_the_full_set() -> None:
    # 5 vectors of filters are a set of 4 and one of 1, which costs 4/3: of two threads one has 4 of 5 1/3
    work = work_of(only(network_of(conv((1, 16, 7, 7), 80, 3))), "fp32", 32, 16)
    assert heaviest_share(work, 2) == pytest.approx(4 / (4 + 4 / 3))
    assert heaviest_share(work, 1) == 1


def test_a_product_takes_its_call_and_its_arithmetic_or_its_bytes() -> None:
    # 7 rows of 48 by 13: 4368 products at 10 per ns and half of them reached
    work = work_of(only(network_of(linear(7, 13, 48))), "fp32", 32, 16)
    constants = Constants(efficiency=0.5, call_s=1e-6)
    found = seconds(work, "fp32", constants, machine(), Curve(machine()), 0.0, 0.0)
    assert found == pytest.approx(1e-6 + 7 * 48 * 13 / 5e9)


def test_weights_that_every_thread_reads_are_not_shared_and_images_read_them_again() -> None:
    # int8 products of two images: each of two threads reads all weights, twice; those of a matrix are halved
    image = work_of(only(network_of(conv((2, 64, 5, 5), 64, 1))), "int8", 8, 16)
    assert image.passes == 2
    free = Constants(efficiency=1e9)
    made = machine(2)._replace(macs_per_cycle={"int8": 10.0})
    weights = image._replace(input_bytes=0.0, output_bytes=0.0)
    found = seconds(weights, "int8", free, made, Curve(made), 0.0, 0.0)
    assert found == pytest.approx(2 * 64 * 64 / 8e9, rel=0.01)
    assert seconds(weights._replace(passes=0), "int8", free, made, Curve(made), 0.0, 0.0) < 0.3 * found


def test_the_library_takes_a_thread_for_every_hundred_thousand_cycles_beyond_a_start() -> None:
    # a byte in, a byte out and a cycle: 1.34375 cycles; (1.34375 n - 100000) / 100000 + 0.9 reaches 2 at n = 156280
    def sum_of(width: int) -> Network:
        net = NetworkBuilder("sum")
        net.elementwise("add", net.input("x", (1, width)), net.input("y", (1, width)))
        return net.build()

    few, many = (work_of(only(sum_of(n)), "int8", 8, 16) for n in (156_279, 156_281))
    assert (threads_of(few, 18), threads_of(many, 18)) == (1, 2)
    assert threads_of(many, 1) == 1


def test_parts_of_one_tensor_are_taken_in_the_call_of_the_last() -> None:
    around = surroundings(catalog.network("lstm:hidden=7,inputs=5,steps=3"))
    assert {name.split(".")[1]: one.into for name, one in around.items() if name.endswith(".sum")} == {
        "i": "lstm1.g.sum", "f": "lstm1.g.sum", "o": "lstm1.g.sum", "g": "",
    }  # fmt: skip
    assert around["lstm1.g.sum"].pieces == 4
    assert around["lstm1.gates"].behind


def test_times_overlap_between_the_longer_and_the_sum() -> None:
    assert overlapped(3.0, 4.0, 1.0) == pytest.approx(7)
    assert overlapped(3.0, 4.0, 2.0) == pytest.approx(5)
    assert overlapped(3.0, 4.0, inf) == 4

"""Messages between nodes: closed form and processes agree, by hand on small lines, and events follow messages."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.engine import nodes_closed, nodes_events
from hwsim.engine.nodes_closed import line_cycles
from hwsim.errors import InputError, UsageError
from hwsim.mapping.nodes_grid import Axis, Nodes, Topology, most_square
from hwsim.mapping.nodes_stages import Border, Compute, Feed, Gather, Image, Reduce, Stage, borders, link_bits

TOPOLOGIES = st.sampled_from(["mesh", "torus", "ring"])
COUNTS = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 25])
SIZES = st.integers(1, 5000)

STAGES = st.one_of(
    st.builds(Compute, st.integers(0, 99)),
    st.builds(Feed, st.integers(0, 99)),
    st.builds(Gather, SIZES, st.integers(0, 300)),
    st.builds(Reduce, SIZES),
    st.builds(Border, st.sampled_from([0, 1]), st.integers(0, 7), SIZES, st.integers(1, 3)),
)


def nodes(count: int, topology: Topology = "mesh", latency: Fraction = Fraction(10)) -> Nodes:
    """Return nodes with links of 8 bits per cycle."""
    return Nodes(count, topology, latency, Fraction(8))


def sensible(stage: Stage, system: Nodes) -> bool:
    """Whether a border is along an axis that has neighbours."""
    return not isinstance(stage, Border) or system.axes[stage.axis].size > 1


@settings(max_examples=150, deadline=None)
@given(st.lists(STAGES, max_size=3), COUNTS, TOPOLOGIES, st.integers(1, 60))
def test_processes_take_as_long_as_the_closed_form(
    stages: list[Stage], count: int, topology: Topology, latency: int
) -> None:
    system = nodes(count, topology, Fraction(latency, 3))
    stages = [stage for stage in stages if sensible(stage, system)]
    log = nodes_events.run(stages, system)
    assert (log.ends or [0])[-1] == sum(nodes_closed.stage_cycles(stage, system) for stage in stages)


@pytest.mark.parametrize(
    ("size", "cycles"),
    # blocks of 2 cycles, messages of 17: n - 1 hops of 19, and from three nodes on, one wait for the other side's block
    [(1, 0), (2, 19), (3, 2 * 19 + 2), (8, 7 * 19 + 2)],
)
def test_a_line_forwards_what_it_has_computed_on(size: int, cycles: int) -> None:
    assert line_cycles(Axis(size, wraps=False), 17, 2) == cycles


def test_a_circle_needs_half_the_hops_of_a_line() -> None:
    assert line_cycles(Axis(9, wraps=True), 17, 0) == 4 * 17
    assert line_cycles(Axis(9, wraps=False), 17, 0) == 8 * 17


def test_a_gather_on_a_mesh_goes_along_rows_then_along_columns() -> None:
    # 3 x 3 nodes, blocks of 64 bits: with 64 bits of header 16 cycles, three blocks in one packet 32, and 10 of latency
    assert nodes_closed.stage_cycles(Gather(64, 0), nodes(9)) == 2 * (10 + 16) + 2 * (10 + 32)


def test_slow_tiles_hide_the_messages_of_a_gather() -> None:
    # a node of two computes its own block for 1000 cycles, receives, and computes the other's
    assert nodes_closed.stage_cycles(Gather(64, 1000), nodes(2)) == 1000 + 26 + 1000


def test_a_long_way_costs_its_latency_at_every_hop_and_its_length_once() -> None:
    assert nodes(4).message_cycles(64, hops=1) == 10 + 16
    slow = nodes(4, latency=Fraction(20))
    assert slow.message_cycles(64, hops=3) == 3 * 20 + 16


def test_links_on_a_long_way_carry_the_messages_of_all_that_send_as_far() -> None:
    # 16 cycles of message over 3 hops of 1: three of them pass each link
    assert nodes(4, latency=Fraction(1)).message_cycles(64, hops=3) == 3 * 16


@settings(max_examples=100, deadline=None)
@given(
    st.builds(Image, SIZES, *[st.integers(1, 40)] * 2, st.just((1, 1)), st.tuples(st.integers(1, 19), st.just(3))),
    COUNTS,
    TOPOLOGIES,
)
def test_borders_take_no_less_than_links_need_for_their_bits(image: Image, count: int, topology: Topology) -> None:
    system = nodes(count, topology)
    for stage in borders(image, system, bits=16):
        assert isinstance(stage, Border)
        axis = system.axes[stage.axis]
        links = count if axis.wraps else count - count // axis.size
        assert stage.hops < axis.size
        assert nodes_closed.stage_cycles(stage, system) >= link_bits(stage, system) / (links * system.bits_per_cycle)


def test_each_64_bytes_have_a_header_of_8() -> None:
    assert nodes(4).message_cycles(512) == 10 + 64 + 8
    assert nodes(4).message_cycles(513) == 10 + -(-(513 + 2 * 64) // 8)


def test_borders_are_what_windows_reach_beyond_their_rectangle() -> None:
    # 7 x 11 outputs on 2 x 2 nodes: 4 x 6 each; windows of 3 x 3 reach 2 beyond, and rows come with their corners
    image = Image(channels=5, rows=7, cols=11, stride=(1, 1), reach=(3, 3))
    assert borders(image, nodes(4), bits=16) == [
        Border(0, messages=4, bits=2 * 5 * 16, hops=1),
        Border(1, messages=2, bits=(6 + 2) * 5 * 16, hops=1),
    ]
    assert borders(image, nodes(1), bits=16) == []
    # windows side by side need nothing of a neighbour
    assert borders(image._replace(stride=(3, 3)), nodes(4), bits=16) == []


def test_a_border_wider_than_a_node_comes_over_several() -> None:
    image = Image(channels=1, rows=4, cols=4, stride=(1, 1), reach=(4, 1))
    assert borders(image, nodes(16), bits=16) == [Border(1, messages=3, bits=16, hops=3)]


def test_link_bits_count_every_link_that_a_block_passes() -> None:
    # with headers of 64 bits: blocks of 64 bits to 2 others of a row, three blocks at once to 2 others of a column
    assert link_bits(Gather(64, 1), nodes(9)) == 9 * (2 * (64 + 64) + 2 * (3 * 64 + 64))
    # of two rows of two nodes, one of each row has a neighbour to the right
    assert link_bits(Border(0, 4, 160, 1), nodes(4)) == 2 * 4 * (160 + 64)
    assert link_bits(Compute(5), nodes(4)) == 0


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([4, 9, 16]), SIZES, st.integers(0, 50))
def test_a_torus_is_never_slower_than_a_mesh(count: int, bits: int, block: int) -> None:
    mesh, torus = (nodes_closed.stage_cycles(Gather(bits, block), nodes(count, way)) for way in ("mesh", "torus"))
    assert torus <= mesh


@pytest.mark.parametrize("count", [1, 2, 12, 37, 64])
def test_a_grid_is_as_square_as_can_be(count: int) -> None:
    rows, cols = most_square(count)
    assert rows * cols == count
    assert not any(count % one == 0 for one in range(cols + 1, rows) if one * one <= count)


@pytest.mark.parametrize("topology", ["mesh", "torus", "ring"])
def test_64_nodes_as_processes_take_the_cycles_of_the_closed_form_within_2_seconds(topology: str) -> None:
    started = time.perf_counter()
    chip = f"dadiannao:nodes=64,topology={topology}"
    closed, stepped = (
        hwsim.simulate("dadiannao_layers:layer=fullNN", on=chip, fidelity=one) for one in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows
    assert time.perf_counter() - started < (2 if topology != "ring" else 6)


def test_events_are_a_few_per_message() -> None:
    log = nodes_events.run([Gather(640, 7)], nodes(64))
    # along rows 8 x 7 messages in each of 8, along columns again
    assert log.messages == 2 * 8 * 8 * 7
    assert log.events <= 8 * log.messages + 10 * 64


@pytest.mark.parametrize("spec", ["nodes=0", "link_gb_s=0", "tile_edram_mib=0.0001", "nodes=5000", "clock_mhz=1e-9"])
def test_a_system_that_cannot_be_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="chip 'dadiannao'"):
        hwsim.simulate("mlp", on=f"dadiannao:{spec}")


def test_an_unknown_topology_is_refused() -> None:
    with pytest.raises((InputError, UsageError), match="topology=star"):
        hwsim.simulate("mlp", on="dadiannao:topology=star")

"""The engine of compressed columns: by hand, closed against stepped, and its outputs against dense products."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim import catalog
from hwsim.compress.columns import Array, encode
from hwsim.engine import sparse, sparse_stepped
from hwsim.engine import sparse_kernels as kernels
from hwsim.engine.trace import Span
from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder


class Counted(NamedTuple):
    """What a stepped product returns."""

    cycles: int
    stalled: int
    entries: int
    nonzeros: int
    reads: int
    broadcasts: int
    forwarded: int


def stepped(
    codes: Array, activations: list[float], pes: int, waiting: int = 7, batch_rows: int = 0, reload_cycles: int = 0
) -> tuple[Counted, Array]:
    """Return what is counted and the outputs of a product in float64, with the codes as weights."""
    columns = encode(codes, pes)
    slots = np.zeros(-(-len(activations) // pes) * pes)
    slots[: len(activations)] = activations
    out = np.zeros((pes, -(-len(codes) // pes)))
    found = sparse_stepped.stepped_product(
        columns.pointers, columns.starts, columns.codes, columns.gaps, np.arange(16.0), slots, waiting, batch_rows,
        reload_cycles, 8, out,
    )  # fmt: skip
    return Counted(*found), out.T.reshape(-1)[: len(codes)]


def recurrence(
    codes: Array, activations: list[float], pes: int, waiting: int = 7, batch_rows: int = 0, reload_cycles: int = 0
) -> tuple[int, int]:
    """Return cycles and stalls of the same product in closed form."""
    columns, nonzero = encode(codes, pes), np.flatnonzero(activations)
    free, ended, heads = (np.zeros(size, np.int32) for size in (pes, pes, len(nonzero)))
    cycles, stalls = kernels.broadcasts(
        columns.pointers, nonzero, waiting, batch_rows, reload_cycles, free, ended, heads
    )
    return int(cycles), int(stalls)


def test_a_dense_layer_takes_its_entries_per_pe_and_8_cycles() -> None:
    # the authors' simulator: 128 x 128 on 64 PEs is 2 x 128 entries on each, and 264 cycles
    codes = np.ones((128, 128), np.uint8)
    counted, out = stepped(codes, [1.0] * 128, 64)
    assert counted.cycles == 2 * 128 + 8
    assert (out == 128).all()


def test_one_entry_takes_a_row_a_broadcast_a_queue_an_issue_and_five_stages() -> None:
    # cycle 0 reads the row, 1 broadcasts, 2 leaves the queue, 3 issues, 4 to 8 read, decode, multiply, add, write
    counted, out = stepped(np.array([[3]], np.uint8), [5.0], 1)
    assert counted == Counted(9, 0, 1, 1, 1, 1, 0)
    assert out.tolist() == [15.0]


def test_a_column_of_no_entry_takes_a_pe_one_cycle() -> None:
    # PE 0 has nothing in columns 0 to 2, which are broadcast in cycles 1 to 3; 3, broadcast in 4, is issued in 6
    codes = np.zeros((2, 4), np.uint8)
    codes[1, :3], codes[0, 3] = 1, 1
    assert stepped(codes, [1.0] * 4, 2)[0].cycles == recurrence(codes, [1.0] * 4, 2)[0]
    # on 2 PEs a row has two activations: its last PE's needs no cycle to leave it
    assert recurrence(codes, [1.0] * 4, 2)[0] == 6 + 1 + 5


def test_a_row_without_its_last_activation_costs_a_cycle() -> None:
    codes = np.ones((2, 4), np.uint8)
    # broadcasts in 1, 2, 3, 4 without; in 1, 3 where columns 1 and 3 are zero
    assert recurrence(codes, [1, 1, 1, 1], 2)[0] == 4 + 8
    assert recurrence(codes, [1, 0, 1, 0], 2)[0] == 3 + 8
    assert stepped(codes, [1, 0, 1, 0], 2)[0].cycles == 3 + 8


def test_a_full_queue_holds_the_broadcast_back() -> None:
    # PE 0 has 10 entries per column, PE 1 one: with one place in the queue the third column waits for the first
    codes = np.zeros((20, 5), np.uint8)
    codes[0::2], codes[1] = 1, 1
    counted, _ = stepped(codes, [1.0] * 5, 2, waiting=1)
    assert counted.cycles == 5 * 10 + 8
    assert counted.stalled > 0
    assert stepped(codes, [1.0] * 5, 2, waiting=7)[0].stalled == 0


def test_a_sum_that_is_not_written_yet_is_forwarded() -> None:
    # every column has one entry, in the same row: each sum needs the one of the cycle before
    counted, out = stepped(np.ones((1, 7), np.uint8), [1.0] * 7, 1)
    assert out.tolist() == [7.0]
    # a row of one PE is left with its activation, so entries follow each other and all but the first are forwarded
    assert counted.forwarded == 6


def test_longer_vectors_reload_the_registers_between_batches() -> None:
    codes = np.ones((1, 6), np.uint8)
    plain, batched = (recurrence(codes, [1.0] * 6, 1, batch_rows=rows, reload_cycles=5)[0] for rows in (0, 2))
    # three batches of two rows, each behind 5 cycles of reading
    assert batched == plain + 3 * 5
    assert stepped(codes, [1.0] * 6, 1, batch_rows=2, reload_cycles=5)[0].cycles == batched


def test_a_vector_of_zeros_is_scanned_and_nothing_else() -> None:
    codes = np.ones((3, 7), np.uint8)
    counted, out = stepped(codes, [0.0] * 7, 2)
    # four rows of two activations, and the cycle in which the first one is read
    assert counted.cycles == recurrence(codes, [0.0] * 7, 2)[0] == 1 + 4
    assert not out.any()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from([0.0, 0.03, 0.2, 0.6, 1.0]), st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.integers(0, 3),
    st.integers(0, 4),
)  # fmt: skip
def test_the_recurrence_gives_the_cycles_of_stepping_and_outputs_are_the_dense_product(
    seed: int, rows: int, cols: int, pes: int, waiting: int, dense: float, active: float, batch: int, reload: int
) -> None:
    generator = np.random.default_rng(seed)
    kept = generator.random((rows, cols)) < dense
    codes = (generator.integers(1, 16, (rows, cols)) * kept).astype(np.uint8)
    activations = np.where(generator.random(cols) < active, generator.integers(1, 99, cols), 0)
    given = (codes, activations.tolist(), pes, waiting, batch, reload)
    counted, out = stepped(*given)
    assert (counted.cycles, counted.stalled) == recurrence(*given)
    assert (out == codes @ activations).all()
    columns, nonzero = encode(codes, pes), np.flatnonzero(activations)
    assert counted[2:5] == kernels.counted(columns.pointers, columns.useful, nonzero, 8)


def network(rows: int, cols: int, vectors: int, weight_density: float, input_density: float) -> Network:
    net = NetworkBuilder("one")
    net.linear("layer", net.input("x", (vectors, cols)), rows, bias=False)
    built = net.build()
    layer = replace(built.layers[0], weight_density=weight_density, input_density=input_density)
    return replace(built, layers=(layer,))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 150), st.integers(1, 150), st.integers(1, 3)),
    st.tuples(st.sampled_from([0.03, 0.2, 1.0]), st.sampled_from([0.2, 1.0])),
    st.fixed_dictionaries(
        {
            "pes": st.sampled_from([1, 2, 7, 16]),
            "fifo_depth": st.sampled_from([1, 2, 8]),
            "batch_length": st.sampled_from([1, 30, 64, 4096]),
            "sram_width_bits": st.sampled_from([16, 64]),
            "index_bits": st.sampled_from([2, 4]),
        }
    ),
    st.integers(0, 99),
)
def test_closed_and_stepped_runs_agree_in_every_column(
    sizes: tuple[int, int, int], densities: tuple[float, float], parameters: dict[str, Any], seed: int
) -> None:
    net, chip = network(*sizes, *densities), "eie:" + ",".join(f"{key}={value}" for key, value in parameters.items())
    closed, counted = (hwsim.simulate(net, on=chip, fidelity=fidelity, seed=seed) for fidelity in ("closed", "stepped"))
    assert closed.rows == counted.rows
    (layer,) = closed.layers
    assert min(layer.timing) >= 0
    assert layer.mapping is not None
    layer.mapping.check()


def test_random_matrices_have_the_density_asked_for_and_vectors_exactly() -> None:
    (row,) = hwsim.simulate(network(4096, 1000, 1, 0.09, 0.351), on="eie").rows
    assert row["broadcasts"] == 351
    assert row["useful_macs"] == pytest.approx(0.09 * 4096 * 351, rel=0.01)


def test_another_seed_is_another_matrix_and_the_same_seed_the_same() -> None:
    net = network(300, 200, 1, 0.1, 0.5)
    first, again, other = (hwsim.simulate(net, on="eie", seed=seed).rows for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_vectors_of_a_batch_are_different_ones() -> None:
    one, two = (hwsim.simulate(network(300, 200, vectors, 0.1, 0.5), on="eie").rows[0] for vectors in (1, 2))
    assert one["broadcasts"] * 2 == two["broadcasts"]
    assert one["useful_macs"] * 2 != two["useful_macs"]


def test_a_timeline_has_the_phases_of_every_layer() -> None:
    from hwsim.engine import sparse

    result = hwsim.simulate(network(300, 200, 1, 0.1, 0.5), on="eie")
    (spans,) = sparse.spans(result)
    fill, compute, stall, drain = result.layers[0].timing
    assert spans == [
        Span("PEs", "fill", 0, fill),
        Span("PEs", "compute", fill, compute),
        Span("PEs", "stall", fill + compute, stall),
        Span("PEs", "drain", fill + compute + stall, drain),
    ]


@pytest.mark.parametrize("per_read", [1, 3, 8, 12])
@pytest.mark.parametrize("vectors", [1, 5])
def test_reads_are_of_aligned_rows_of_any_width_and_products_add_up(per_read: int, vectors: int) -> None:
    generator = np.random.default_rng(11)
    codes = (generator.integers(1, 16, (37, 23)) * (generator.random((37, 23)) < 0.6)).astype(np.uint8)
    columns, count, seed = encode(codes, 5), 13, np.uint64(7)
    pointers, machine = columns.pointers, (8, 0, 0, per_read)
    sums, expected = np.zeros((2, len(kernels.SUMS)), np.int64)
    kernels.random_products(pointers, columns.useful, vectors, count, seed, 23, *machine, sums)
    reads = 0
    for vector in range(vectors):
        at, scratch = np.zeros(count, np.int64), (np.zeros(5, np.int32), np.zeros(5, np.int32))
        kernels.random_positions(count, 23, np.uint64(kernels.vector_seed(seed, vector)), at)
        kernels.product_of(pointers, columns.useful, at, *machine, *scratch, np.zeros(count, np.int32), expected)
        begin, end = pointers[at].astype(int), pointers[at + 1].astype(int)
        reads += int(((end - 1) // per_read - begin // per_read + 1)[end > begin].sum())
    assert sums.tolist() == expected.tolist()
    assert sums[4] == reads


@pytest.mark.parametrize("spec", ["vgg", "eie_layers", "mlp:hidden=4096-9000,inputs=300,classes=7"])
def test_what_is_refused_before_it_is_drawn_is_refused_as_after(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = catalog.network(spec).with_density(0.4, 1.0)
    said = []
    for early in (True, False):
        if not early:
            monkeypatch.setattr(sparse, "require_room", lambda *_: None)
        with pytest.raises(InputError) as refused:
            hwsim.simulate(given, on="eie")
        said.append(str(refused.value))
    assert said[0] == said[1]

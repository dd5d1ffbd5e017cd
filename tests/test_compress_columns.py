"""EIE's matrix format: interleaved columns with relative indices come back as they were, and are the paper's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.compress.columns import Array, decode, encode, expected_entries
from hwsim.errors import InputError


@st.composite
def sparse_codes(draw: st.DrawFn) -> Array:
    rows, cols = draw(st.integers(1, 130)), draw(st.integers(1, 11))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kept = generator.random((rows, cols)) < draw(st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
    codes: Array = (generator.integers(1, 16, (rows, cols)) * kept).astype(np.uint8)
    return codes


@settings(max_examples=200, deadline=None)
@given(sparse_codes(), st.integers(1, 9), st.integers(1, 5))
def test_what_is_encoded_is_decoded_again(codes: Array, pes: int, index_bits: int) -> None:
    columns = encode(codes, pes, index_bits)
    assert (decode(columns) == codes).all()
    assert columns.entries - columns.padding == np.count_nonzero(codes)
    assert columns.gaps is not None
    assert columns.gaps.max(initial=0) < 2**index_bits
    assert (columns.useful == np.count_nonzero(codes, axis=0)).all()


@settings(max_examples=100, deadline=None)
@given(sparse_codes(), st.integers(1, 9))
def test_a_run_of_more_than_15_zeros_has_a_padding_zero_for_every_16(codes: Array, pes: int) -> None:
    padding = 0
    for pe in range(pes):
        for column in codes[pe::pes].T:
            last = -1
            for row in np.flatnonzero(column):
                padding += (int(row) - last - 1) // 16
                last = int(row)
    assert encode(codes, pes).padding == padding


def test_15_zeros_need_no_padding_and_16_need_one() -> None:
    codes = np.zeros((18, 2), np.uint8)
    codes[15, 0] = 7  # behind 15 zeros: (gap 15, code 7)
    codes[16, 1] = 7  # behind 16: (15, 0), which takes rows 0 to 15, then (0, 7)
    columns = encode(codes, pes=1)
    assert columns.pointers[:, 0].tolist() == [0, 1, 3]
    assert columns.codes is not None
    assert columns.gaps is not None
    assert columns.codes.tolist() == [7, 0, 7]
    assert columns.gaps.tolist() == [15, 15, 0]


def test_the_zeros_of_other_pes_are_not_in_a_gap() -> None:
    # rows 0 and 34 are the first and the 18th of PE 0 of 2: 16 zeros of its own lie between
    codes = np.zeros((36, 1), np.uint8)
    codes[[0, 34, 35], 0] = 3, 4, 5
    columns = encode(codes, pes=2)
    assert columns.pointers[-1].tolist() == [3, 2]
    assert columns.codes is not None
    assert columns.codes.tolist() == [3, 0, 4, 0, 5]


def test_the_column_that_section_3_of_the_paper_encodes_is_encoded_so() -> None:
    # "[0,0,1,2, 18 zeros, 3] is encoded as v = [1,2,0,3], z = [2,0,15,2]"
    columns = encode(np.array([[0, 0, 1, 2, *[0] * 18, 3]], np.uint8).T, pes=1)
    assert columns.codes is not None
    assert columns.gaps is not None
    assert columns.codes.tolist() == [1, 2, 0, 3]
    assert columns.gaps.tolist() == [2, 0, 15, 2]


def test_a_part_of_a_matrix_on_the_first_of_four_pes_by_hand() -> None:
    # PE 0 of 4 has rows 0, 4, 8, 12 of a 16 x 8 matrix, its 1st to 4th, and gaps count those alone
    columns_of_rows = [[0, 8, 12], [4], [0, 12], [], [0, 4], [0, 12], [0], [8, 12]]
    codes = np.zeros((16, 8), np.uint8)
    for col, rows in enumerate(columns_of_rows):
        codes[rows, col] = 1
    columns = encode(codes, pes=4)
    assert columns.gaps is not None
    assert columns.gaps.tolist() == [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 2, 0]
    assert columns.pointers[:, 0].tolist() == [0, 3, 4, 6, 6, 8, 10, 11, 13]


@pytest.mark.parametrize("density", [0.04, 0.09, 0.25])
def test_expected_entries_are_those_of_random_matrices_within_a_percent(density: float) -> None:
    kept = np.random.default_rng(7).random((4096, 500)) < density
    columns = encode(kept.astype(np.uint8), pes=64)
    assert columns.entries / 64 == pytest.approx(expected_entries(4096, 500, density, 64), rel=0.01)


def test_damaged_columns_are_an_input_error() -> None:
    columns = encode(np.eye(7, dtype=np.uint8), pes=2)
    assert columns.gaps is not None
    with pytest.raises(InputError, match="and the matrix has 7"):
        decode(replace(columns, gaps=columns.gaps + 9))
    with pytest.raises(InputError, match="its pointers count"):
        decode(replace(columns, starts=columns.starts + np.arange(3)))
    with pytest.raises(InputError, match="only the counts"):
        decode(replace(columns, codes=None))


@pytest.mark.parametrize(("shape", "pes", "bits"), [((0, 3), 2, 4), ((5,), 2, 4), ((5, 3), 0, 4), ((5, 3), 2, 0)])
def test_what_cannot_be_encoded_is_an_input_error(shape: tuple[int, ...], pes: int, bits: int) -> None:
    with pytest.raises(InputError):
        encode(np.ones(shape, np.uint8), pes, bits)

"""The searches of the ISCA 2016 dataflows, against every mapping there is of small layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import ceil
from typing import NamedTuple

import pytest
from strategies import conv, linear

from hwsim.ir import Layer
from hwsim.mapping.isca2016 import (
    no_local_reuse,
    output_stationary_a,
    output_stationary_b,
    output_stationary_c,
    row_stationary,
    weight_stationary,
)
from hwsim.mapping.isca2016.search import Reuse, Storage, least_energy
from hwsim.mapping.isca2016.shape import Shape, chunks, shape_of

COSTS = (("dram", 200.0), ("buffer", 6.0), ("array", 2.0), ("rf", 1.0))
LAYERS = {
    "padded": conv((3, 3, 7, 7), 5, 3, padding=1),
    "strided": conv((1, 2, 13, 11), 7, (5, 3), stride=2),
    "product": linear(5, 11, 13),
}
STORAGES = {
    "roomy": Storage(pes=31, rf_words=23, buffer_words=2000, costs=COSTS),
    "tight": Storage(pes=17, rf_words=11, buffer_words=250, costs=COSTS),
}

Words = Callable[[Shape, Mapping[str, int]], tuple[int, int, int]]


class Rule(NamedTuple):
    """The dimension of each parameter of a dataflow, and the PEs, words per PE and words of buffer they take."""

    letters: Mapping[str, str]
    needs: Words


def rows(shape: Shape, e: int) -> int:
    return (e - 1) * shape.stride[0] + shape.R


def cols(shape: Shape, f: int) -> int:
    return (f - 1) * shape.stride[1] + shape.S


def _rs(s: Shape, c: Mapping[str, int]) -> tuple[int, int, int]:
    m, n, e, p, q, r, t = (c[letter] for letter in "mnepqrt")
    buffer = n * (m * s.Q * e + q * r * cols(s, s.Q) * rows(s, e))
    return s.R * e * r * t, p * q * s.S + q * s.S + p, buffer if m >= min(p * t, s.K) else 10**9


def _osa(s: Shape, c: Mapping[str, int]) -> tuple[int, int, int]:
    n, m, e, f = (c[letter] for letter in "nmef")
    return n * e * f, 1, m * s.C * s.R * s.S + n * s.C * rows(s, e) * cols(s, f)


def _osb(s: Shape, c: Mapping[str, int]) -> tuple[int, int, int]:
    n, m, p, f = (c[letter] for letter in "nmpf")
    return n * p * f, 1, m * s.C * s.R * s.S + n * s.C * s.R * cols(s, f) if p <= m else 10**9


def _osc(s: Shape, c: Mapping[str, int]) -> tuple[int, int, int]:
    n, m, p = (c[letter] for letter in "nmp")
    return n * p, 1, (m + n) * s.C * s.R * s.S if p <= m else 10**9


def _ws(s: Shape, c: Mapping[str, int]) -> tuple[int, int, int]:
    r, t, f = (c[letter] for letter in "rtf")
    return r * t * s.R * s.S, 1, s.N * t * s.P * s.Q + r * t * (cols(s, f) - s.S) * (s.R - 1)


def _nlr(s: Shape, c: Mapping[str, int]) -> tuple[int, int, int]:
    n, m, p, q, e, f = (c[letter] for letter in "nmpqef")
    buffer = n * q * rows(s, e) * cols(s, f) + m * q * s.R * s.S + n * m * e * f
    return p * q, 0, buffer if p <= m else 10**9


RULES: dict[str, tuple[Reuse, Rule]] = {
    "RS": (row_stationary, Rule({"m": "K", "n": "N", "e": "P", "p": "K", "q": "C", "r": "C", "t": "K"}, _rs)),
    "OSA": (output_stationary_a, Rule({"m": "K", "n": "N", "e": "P", "f": "Q"}, _osa)),
    "OSB": (output_stationary_b, Rule({"m": "K", "n": "N", "p": "K", "f": "Q"}, _osb)),
    "OSC": (output_stationary_c, Rule({"m": "K", "n": "N", "p": "K"}, _osc)),
    "WS": (weight_stationary, Rule({"r": "C", "t": "K", "f": "Q"}, _ws)),
    "NLR": (no_local_reuse, Rule({"m": "K", "n": "N", "p": "K", "q": "C", "e": "P", "f": "Q"}, _nlr)),
}


def every_mapping(rule: Rule, shape: Shape, storage: Storage) -> Iterator[dict[str, int]]:
    """Yield all mappings that fit, of row-stationary's every other m and q: loops over all 7 letters take too long."""
    ranges = {letter: range(1, getattr(shape, dim) + 1) for letter, dim in rule.letters.items()}
    for letter in ("m", "q") if "t" in ranges and "p" in ranges else ():
        ranges[letter] = range(1, ranges[letter].stop, 2)
    for values in product(*ranges.values()):
        c = dict(zip(ranges, values, strict=True))
        pes, rf_words, buffer_words = rule.needs(shape, c)
        if pes <= storage.pes and rf_words <= storage.rf_words and buffer_words <= storage.buffer_words:
            yield c


def energy(reuse: Reuse, shape: Shape, c: Mapping[str, int]) -> float:
    return sum(dict(COSTS)[level] * int(count) for (level, _, _), count in reuse.accesses(shape, c).items())


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("dataflow", RULES)
def test_no_mapping_that_fits_takes_less_energy_than_the_one_found(
    dataflow: str, layer: Layer, storage: Storage
) -> None:
    reuse, rule = RULES[dataflow]
    shape = shape_of(layer)
    assert shape.N % 2, "of an even batch slower ones are passed over"
    found, all_of_them = least_energy(reuse, shape, storage), list(every_mapping(rule, shape, storage))
    if found is None:
        assert not all_of_them
        return
    pes, rf_words, buffer_words = rule.needs(shape, found.parameters)
    assert pes <= storage.pes
    assert pes == found.active_pes
    assert rf_words <= storage.rf_words
    assert buffer_words <= storage.buffer_words
    least = min(energy(reuse, shape, c) for c in all_of_them)
    assert energy(reuse, shape, found.parameters) <= least * (1 + 1e-9)


@pytest.mark.parametrize("dataflow", [name for name in RULES if name != "WS"])  # a batch's sums leave WS fewer filters
def test_twice_the_batch_never_has_fewer_pes_at_work(dataflow: str) -> None:
    for kernel, channels in ((3, 5), (1, 29)):
        layers = [conv((batch, 3, 9, 9), channels, kernel) for batch in (1, 2, 4, 8)]
        active = [
            found.active_pes
            for layer in layers
            if (found := least_energy(RULES[dataflow][0], shape_of(layer), STORAGES["roomy"]))
        ]
        assert active == sorted(active)


def test_strips_read_the_rows_that_they_share_twice() -> None:
    # 7 outputs of 3 rows, stride 2, stand on 15 rows; in strips of 3, 3 and 1 they read 7 + 7 + 3
    shape = shape_of(conv((1, 1, 15, 15), 1, 3, stride=2))
    assert [int(shape.rows_read(strip)) for strip in (7, 3, 1)] == [15, 17, 21]
    # with a stride above the filter, rows between are never read
    skipping = shape_of(conv((1, 1, 13, 13), 1, 1, stride=3))
    assert [int(skipping.cols_read(strip)) for strip in (5, 2, 1)] == [5, 5, 5]


def test_chunks_are_the_smallest_of_each_number() -> None:
    assert chunks(13).tolist() == [1, 2, 3, 4, 5, 7, 13]
    assert {ceil(13 / size) for size in chunks(13).tolist()} == {13, 7, 5, 4, 3, 2, 1}

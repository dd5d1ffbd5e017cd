"""Sentences that users read: counts agree with their nouns, and none is empty."""

from __future__ import annotations

import pytest

import hwsim
from hwsim import Network, NetworkBuilder
from hwsim.errors import counted, reason


def activations(count: int) -> Network:
    """Return a product with so many functions of single elements behind it."""
    net = NetworkBuilder("chain")
    x = net.linear("fc", net.input("x", (1, 7)), 5)
    for index in range(count):
        x = net.activation(f"relu{index}", x)
    return net.build()


def test_a_count_agrees_with_its_noun() -> None:
    assert [counted(count, "layer") for count in (0, 1, 2)] == ["0 layers", "1 layer", "2 layers"]
    assert [counted(count, "layer is", "layers are") for count in (1, 3)] == ["1 layer is", "3 layers are"]


@pytest.mark.parametrize(
    ("error", "said"), [(MemoryError(), "MemoryError"), (ValueError("a\nb"), "a"), (ValueError("\nb"), "ValueError")]
)
def test_an_error_that_says_nothing_is_told_by_its_name(error: Exception, said: str) -> None:
    assert reason(error) == said


@pytest.mark.parametrize(
    ("chip", "count", "said"),
    [
        ("eyeriss", 1, "chip 'eyeriss' leaves 1 operator that is no product to its host, at no cost here"),
        ("eyeriss", 2, "chip 'eyeriss' leaves 2 operators that are no products to its host, at no cost here"),
        ("tpu_v1", 1, "1 operator on single elements runs before results leave the chip, in no time"),
    ],
)
def test_notes_count_operators_in_the_number_that_they_have(chip: str, count: int, said: str) -> None:
    assert said in hwsim.simulate(activations(count), on=chip).notes


def test_one_conversion_is_told_as_one() -> None:
    net = NetworkBuilder("two")
    net.linear("two", net.linear("one", net.input("x", (1, 7)), 5), 3)
    said = " ".join(hwsim.simulate(net.build(), on="systolic", format="int8,two=fp16").notes)
    assert "1 tensor is converted between formats" in said

"""The roofline: peak rate or off-chip bandwidth, whichever takes longer."""

from __future__ import annotations

import pytest
from strategies import attention, conv, linear

from hwsim import catalog
from hwsim.formats.fp32 import fp32
from hwsim.formats.int8 import int8
from hwsim.ir import NetworkBuilder
from hwsim.mapping.roofline import compulsory_bits, roofline_seconds


def test_a_matrix_product_of_few_rows_takes_as_long_as_its_weights() -> None:
    chip = catalog.chip("systolic:rows=32,cols=32,bandwidth_gb_s=32,clock_mhz=1000")
    layer = linear(1, 1009, 997)
    bits = 8 * (1009 * 997 + 1009 + 997)
    assert compulsory_bits(layer, int8) == bits
    assert roofline_seconds(layer, chip, int8) == pytest.approx(bits / 8 / 32e9)


def test_a_convolution_of_many_positions_takes_as_long_as_its_products() -> None:
    chip = catalog.chip("systolic:rows=32,cols=32,bandwidth_gb_s=320,clock_mhz=1000")
    layer = conv((1, 64, 57, 57), 128, 3, padding=1)
    macs = 57 * 57 * 128 * 64 * 9
    assert roofline_seconds(layer, chip, fp32) == pytest.approx(macs / 1024 / 1e9)


def test_a_product_of_two_activations_reads_both() -> None:
    layer = attention(3, 7, 5, 11)
    words = 3 * (7 * 5 + 5 * 11 + 7 * 11)
    assert compulsory_bits(layer, fp32) == 32 * words


def test_weights_of_a_recurrent_layer_are_read_once() -> None:
    layer = linear(2, 13, 11, steps=5)
    assert compulsory_bits(layer, fp32) == 32 * (13 * 11 + 5 * 2 * (13 + 11))


def test_layout_takes_nothing() -> None:
    net = NetworkBuilder("flat")
    net.flatten("flatten", net.input("x", (2, 3, 5, 7)))
    (layer,) = net.build().layers
    assert roofline_seconds(layer, catalog.chip("systolic"), fp32) == 0

"""Energy: the 45 nm tables as they are printed, what is assumed beside them, and scaling between nodes."""

from __future__ import annotations

from itertools import pairwise
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim import catalog
from hwsim.arch import EnergyEntry, EnergyTable, Source
from hwsim.arch.energy import table_of
from hwsim.arch.reference_energy import (
    arithmetic,
    dram_entries,
    mac_entry,
    register_entries,
    sram_entries,
    vector_entry,
)
from hwsim.arch.technology import energy_factor, log_interpolate, scale_energy
from hwsim.chips.systolic import systolic
from hwsim.errors import InputError
from hwsim.published import table
from hwsim.units import kib_to_bits

NODES_NM = sorted(float(row["node_nm"]) for row in table("technology"))


@pytest.mark.parametrize(("kib", "energy_pj"), [(8, 10.0), (32, 20.0), (1024, 100.0)])
def test_a_64_bit_sram_access_costs_what_horowitz_prints(kib: int, energy_pj: float) -> None:
    read, write = sram_entries("buffer", kib_to_bits(kib), 45)
    for entry in (read, write):
        assert (entry.bits, entry.node_nm) == (64, 45)
        assert entry.energy_pj == pytest.approx(energy_pj)
    assert read.source.work.startswith("Horowitz")
    # the table prints accesses, not which way
    assert write.source.is_assumed


def test_an_sram_between_two_printed_sizes_lies_on_the_power_law_through_them() -> None:
    # 16 KB is halfway between 8 KB at 10 pJ and 32 KB at 20 pJ in the logarithm: the geometric mean
    read, write = sram_entries("buffer", kib_to_bits(16), 45)
    assert read.energy_pj == pytest.approx((10 * 20) ** 0.5)
    assert (read.action, write.action, write.energy_pj) == ("read", "write", read.energy_pj)
    # below 8 KB the same line goes on: doubling the capacity costs 2^(1/2)
    assert sram_entries("buffer", kib_to_bits(2), 45)[0].energy_pj == pytest.approx(10 / 2)
    # above 1 MB the upper one: 5 times the energy for 32 times the capacity
    assert sram_entries("buffer", kib_to_bits(2048), 45)[0].energy_pj == pytest.approx(100 * 2 ** (log2(5) / 5))


@pytest.mark.parametrize(("fmt", "energy_pj"), [("int8", 0.2 + 0.1), ("fp16", 1.1 + 0.9), ("fp32", 3.7 + 0.9)])
def test_a_multiply_accumulate_is_a_printed_product_and_a_printed_sum_of_the_accumulators_width(
    fmt: str, energy_pj: float
) -> None:
    entry = mac_entry(catalog.number_format(fmt), 45)
    assert entry.energy_pj == pytest.approx(energy_pj)
    assert (entry.component, entry.action, entry.bits) == ("mac", fmt, 0)
    assert "Horowitz" in str(entry.source)
    assert not entry.source.is_assumed


def test_a_product_of_16_bit_integers_is_assumed_on_the_power_law_between_8_and_32_bits() -> None:
    # 0.2 pJ at 8 bits, 3.1 pJ at 32: their geometric mean at 16
    energy_pj, node_nm, source = arithmetic("multiply", "int16")
    assert energy_pj == pytest.approx((0.2 * 3.1) ** 0.5)
    assert node_nm == 45
    assert source.is_assumed
    assert str(source).startswith("assumed: ")
    assert str(mac_entry(catalog.number_format("int16"), 45).source).startswith("assumed: ")


def test_a_64_bit_sum_is_assumed_from_8_and_32_bits() -> None:
    # int16 products are summed in 64 bits; 0.03 pJ at 8 bits and 0.1 at 32 continue to 64
    energy_pj, _, source = arithmetic("add", "int64")
    assert energy_pj == pytest.approx(0.1 * 2 ** (log2(0.1 / 0.03) / 2))
    assert source.is_assumed


@pytest.mark.parametrize("operation", ["add", "multiply"])
def test_bf16_is_assumed_to_cost_what_fp16_does(operation: str) -> None:
    energy_pj, _, source = arithmetic(operation, "bf16")
    assert energy_pj == arithmetic(operation, "fp16")[0]
    assert source.is_assumed


def test_a_vector_operation_is_assumed_to_be_one_sum_of_the_accumulators_width() -> None:
    entry = vector_entry(catalog.number_format("int8"), 45)
    assert (entry.component, entry.action) == ("vector", "int8")
    assert entry.energy_pj == pytest.approx(0.1)
    assert entry.source.is_assumed


def test_dram_costs_640_pj_for_32_bits_at_every_node() -> None:
    read, write = dram_entries("dram")
    assert [(one.action, one.energy_pj, one.bits) for one in (read, write)] == [("read", 640, 32), ("write", 640, 32)]
    assert "Han et al." in str(read.source)
    for node_nm in (7, 28, 130):
        scaled = systolic(node_nm=node_nm).energy.by_action["dram", "read"]
        assert scaled == systolic(node_nm=45).energy.by_action["dram", "read"]


def test_a_register_latches_one_bit_for_9_fj_at_its_own_40_nm() -> None:
    (entry,) = register_entries("pe_register", 40)
    assert (entry.energy_pj, entry.bits, entry.action) == (0.009, 1, "write")


def test_a_word_costs_in_proportion_to_its_width_and_an_operation_regardless_of_it() -> None:
    source = Source("a work", 2014, "Table 1")
    assert EnergyEntry("buffer", "read", 10, 64, 45, source).word_pj(8) == 10 * 8 / 64
    assert EnergyEntry("mac", "int8", 0.3, 0, 45, source).word_pj(8) == 0.3


def test_a_table_finds_entries_by_component_and_action_and_keeps_their_order() -> None:
    whole = table_of(dram_entries("dram"), sram_entries("buffer", kib_to_bits(8), 45))
    assert whole.components == ("dram", "buffer")
    assert whole.by_action["buffer", "write"].energy_pj == pytest.approx(10)
    assert EnergyTable(()).components == ()


def test_the_relative_energy_of_65_and_45_nm_is_the_published_polynomial_at_0_9_v() -> None:
    # Stillmaker and Baas 2017, a2 V^2 + a1 V + a0
    at_65 = 3.755 * 0.81 - 4.398 * 0.9 + 1.975
    at_45 = 1.103 * 0.81 - 0.362 * 0.9 + 0.2767
    assert [at_65, at_45] == pytest.approx([1.05835, 0.84433])
    assert [energy_factor(65), energy_factor(45)] == pytest.approx([at_65, at_45])
    assert scale_energy(10, 45, 65) == pytest.approx(10 * at_65 / at_45)
    assert scale_energy(10, 65, 45) == pytest.approx(10 * at_45 / at_65)


def test_a_node_between_two_published_ones_is_interpolated_in_the_logarithm() -> None:
    # sqrt(45 x 65) nm lies halfway between 45 and 65 nm
    assert energy_factor((45 * 65) ** 0.5) == pytest.approx((1.05835 * 0.84433) ** 0.5)


@given(st.floats(7, 130), st.floats(7, 130))
def test_a_larger_node_never_costs_less(one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert energy_factor(small) <= energy_factor(large) * (1 + 1e-12)


def test_every_published_node_costs_more_than_the_one_below() -> None:
    factors = [energy_factor(node_nm) for node_nm in NODES_NM]
    assert all(low < high for low, high in pairwise(factors))


@given(st.floats(1e-6, 1e6), st.floats(0.1, 1000))
def test_scaling_to_the_same_node_changes_nothing_even_where_no_node_is_known(energy_pj: float, node_nm: float) -> None:
    assert scale_energy(energy_pj, node_nm, node_nm) == energy_pj


@given(st.floats(7, 130), st.floats(7, 130))
def test_scaling_there_and_back_is_the_identity(one: float, other: float) -> None:
    assert scale_energy(scale_energy(10, one, other), other, one) == pytest.approx(10)


@pytest.mark.parametrize("node_nm", [5, 6.99, 131, 180])
def test_a_node_outside_the_published_ones_is_refused(node_nm: float) -> None:
    with pytest.raises(InputError, match=f"no scaling for {node_nm:g} nm; nodes from 7 to 130 nm are known"):
        energy_factor(node_nm)
    with pytest.raises(InputError, match="no scaling"):
        catalog.chip(f"systolic:node_nm={node_nm}")


def test_scaled_entries_say_so_and_entries_at_their_own_node_do_not() -> None:
    own, scaled = (sram_entries("buffer", kib_to_bits(8), node_nm)[0] for node_nm in (45, 65))
    assert scaled.energy_pj == pytest.approx(10 * 1.05835 / 0.84433)
    assert "scaled from 45 to 65 nm at 0.9 V by Stillmaker and Baas" in str(scaled.source)
    assert "scaled" not in str(own.source)


def test_a_source_prints_work_year_and_place_or_why_it_is_assumed() -> None:
    assert str(Source("Chen et al., JSSC 52(1)", 2017, "Table V")) == "Chen et al., JSSC 52(1) 2017, Table V"
    assert str(Source("Chen et al.")) == "Chen et al."
    assert str(Source.assumed("nobody prints it")) == "assumed: nobody prints it"


def test_log_interpolation_is_exact_at_its_points_and_straight_between_and_beyond() -> None:
    # y = x^2 through (1, 1) and (4, 16), then y = 4 x through (16, 64)
    points = [(1.0, 1.0), (4.0, 16.0), (16.0, 64.0)]
    found = [log_interpolate(x, points) for x in (0.5, 1, 2, 4, 8, 16, 32)]
    assert found == pytest.approx([0.25, 1, 4, 16, 32, 64, 128])

"""Areas of arithmetic and memories come from published tables, and whole machines have the area that is printed."""

from __future__ import annotations

import pickle

import pytest

from hwsim import catalog, simulate
from hwsim.arch.area import mac_area, sram_area, sram_mm2
from hwsim.arch.technology import area_factor
from hwsim.errors import InputError


@pytest.mark.parametrize(
    ("fmt", "um2"),
    [("int8", 282 + 137), ("fp16", 1640 + 4184), ("fp32", 7700 + 4184)],
)
def test_a_multiply_accumulate_takes_a_printed_product_and_a_sum_of_accumulator_width(fmt: str, um2: float) -> None:
    assert mac_area(catalog.number_format(fmt), 1000, 45).area_mm2 == pytest.approx(1000 * um2 / 1e6)


def test_area_shrinks_to_the_printed_factor_of_a_node() -> None:
    assert area_factor(65) / area_factor(45) == pytest.approx(1.5)
    assert area_factor(7) == pytest.approx(0.059)
    assert area_factor(7) < area_factor(8) < area_factor(10)


def test_a_node_outside_the_table_is_refused() -> None:
    with pytest.raises(InputError, match="no scaling for 3 nm; nodes from 7 to 130 nm are known"):
        area_factor(3)


def test_a_memory_at_another_node_is_that_of_65_nm_scaled() -> None:
    assert sram_area("buffer", 8 * 4096, 45).area_mm2 == pytest.approx(sram_mm2(4096) / 1.5)


@pytest.mark.parametrize(
    ("chip", "fmt", "mm2", "tolerance"),
    [
        ("eyeriss", "fixed16", 12.25, 1e-9),  # 3.5 mm x 3.5 mm: the shares of the whole core sum to it
        ("eie", "codebook4", 40.8, 0.002),  # 64 x 0.638 mm2, printed as 40.8, with 21 LNZD units
        ("dadiannao", "fixed16", 67.73, 0.0002),
        ("dadiannao:nodes=4", "fixed16", 4 * 67.73, 0.0002),
        ("tpu_v1", "int8", 331, 1e-9),
        ("gpu:titan_x", "fp32", 601, 1e-9),
        ("gpu:k80", "fp32", 561, 1e-9),
        ("cpu:haswell_e5_2699v3", "fp32", 662, 1e-9),
    ],
)
def test_a_printed_machine_has_its_printed_area(chip: str, fmt: str, mm2: float, tolerance: float) -> None:
    found = catalog.chip(chip).area_mm2(catalog.number_format(fmt))
    assert found == pytest.approx(mm2, rel=tolerance)


def test_twice_the_weight_memory_of_eie_takes_that_memorys_area_again() -> None:
    codebook4 = catalog.number_format("codebook4")
    usual, more = (catalog.chip(spec).area_mm2(codebook4) or 0 for spec in ("eie", "eie:spmat_mib=16"))
    assert more - usual == pytest.approx(64 * 469412e-6)


def test_half_the_pes_of_eyeriss_keep_its_buffers_area() -> None:
    fixed16 = catalog.number_format("fixed16")
    parts = {one.component: one.area_mm2 for one in catalog.chip("eyeriss:rows=6").area(fixed16)}
    assert parts["glb"] == pytest.approx(12.25 * 2 / 3 / 3.5)  # scratchpads 2.5 times the buffer, two thirds together
    assert parts["mac"] == pytest.approx(12.25 * 0.074 / 2)


def test_a_systolic_array_of_fp32_is_larger_than_one_of_int8() -> None:
    chip = catalog.chip("systolic:rows=128,cols=128")
    narrow, wide = (chip.area_mm2(catalog.number_format(fmt)) or 0 for fmt in ("int8", "fp32"))
    products = 128 * 128 * (7700 + 4184 - 282 - 137) / 1e6
    registers = 128 * 128 * (96 - 48) * 5.98e-6 / area_factor(40)
    lanes = 128 * (4184 - 137) / 1e6
    assert wide - narrow == pytest.approx(products + registers + lanes)


def test_a_machine_that_nobody_prints_an_area_of_has_none() -> None:
    assert catalog.chip("gpu:tegra_k1").area_mm2(catalog.number_format("fp32")) is None


def test_area_is_among_the_sources_and_survives_pickling() -> None:
    result = simulate("mlp", on="systolic")
    assert {"area of mac", "area of ofmap_buffer"} <= {row["what"] for row in result.sources}
    assert pickle.loads(pickle.dumps(result.chip)).area_mm2(result.fmt) == result.chip.area_mm2(result.fmt)

"""Times of GPU kernels by hand: blocks on SMs, memory beside them, and which kernel is taken."""

from __future__ import annotations

from math import ceil, floor, sqrt
from types import ModuleType

import pytest
from strategies import conv

from hwsim.arch import Source
from hwsim.ir import Layer
from hwsim.mapping.gpu import attention, attention_kernels, convolution, kernels, matrix, stream
from hwsim.mapping.gpu.constants import ATTENTION, CONVOLUTION, VECTOR, Case, array, case_of

SMS, RATE, DRAM, US = 4, 128, 32, 1000
MACHINE = array((float(SMS), float(RATE), float(DRAM), float(US)))
"""4 SMs of 128 multiply-accumulates per cycle, 32 bytes per cycle off-chip, 1000 cycles per us."""


def case(op_class: str, path: str = "simt", library: str = "eager", **constants: float) -> Case:
    return case_of(op_class, path, library, constants, Source.assumed("a test"), 0)


@pytest.mark.parametrize(
    ("module", "prefix", "names"),
    [(kernels, "", CONVOLUTION), (kernels, "VECTOR_", list(VECTOR)[:4]), (attention_kernels, "", ATTENTION)],
)
def test_compiled_kernels_know_the_place_of_every_constant(module: ModuleType, prefix: str, names: list[str]) -> None:
    assert [getattr(module, prefix + name.upper()) for name in names] == list(range(len(names)))


def test_only_one_vector_is_multiplied_by_a_warp_per_output() -> None:
    blocks, warps = case("gemm", bandwidth_share=0.5), case("gemv", stream_share=0.8)
    assert [
        matrix.product(1, rows, 4096, 4096, 4.0 * 4096**2, 4, MACHINE, blocks, vector).algorithm
        for rows, vector in ((1, warps), (2, warps), (1, None))
    ] == ["gemv", "gemm", "gemm"]


def test_a_warp_waits_for_one_line_after_the_other() -> None:
    # 4096 floats are 128 lines of 32 for a warp, and 8 blocks of 64 warps on 4 SMs
    one = matrix.gemv(1, 512, 4096, 4.0 * 512 * 4096, 4, MACHINE, case("gemv", stream_share=0.6))
    latency = SMS * 64 * 128 / DRAM * sqrt(1 / 0.6**2 - 1)
    assert one.block_cycles == ceil((128 + 1.5) * latency)
    assert one.sm_cycles == 2 * one.block_cycles
    assert one.total_cycles == ceil(sqrt((4 * 512 * 4096 / DRAM) ** 2 + one.sm_cycles**2))
    # nothing to wait for: 64 outputs of 4096 products at 128 per cycle
    assert matrix.gemv(1, 64, 4096, 0.0, 4, MACHINE, case("gemv")).block_cycles == 64 * 4096 // RATE


def test_blocks_run_in_waves_of_which_the_last_is_shorter() -> None:
    # 100 x 70 outputs are 2 x 3 blocks of 64 x 32: one wave of 4 and one of 2
    one = case("bmm", efficiency=0.5, prologue_us=0.1, tail_share=0.5, launch_us=2, tile_64x32=1, quantum=16)
    kernel = matrix.gemm(1, 100, 70, 48, 40000, 4, MACHINE, one)
    block = 64 * 32 * 48 * 2 // RATE + 100
    last = block - floor(0.5 * (1 - 2 / 4) * block)
    assert (kernel.blocks, kernel.block_cycles, kernel.last_cycles) == (6, block, last) == (6, 1636, 1227)
    assert kernel.sm_cycles == kernel.body_cycles == block + last
    assert kernel.total_cycles == 2 * US + block + last
    # every block reads 48 words of each of its rows and columns
    assert kernel.input_words == 100 * 48 * 3
    assert kernel.weight_words == 70 * 48 * 2


def test_memory_and_blocks_overlap_by_their_exponent() -> None:
    one = case("bmm", bandwidth_share=0.8, ramp_us=0.5, overlap_exponent=2, tile_64x32=1, quantum=16)
    kernel = matrix.gemm(1, 64, 32, 48, 40000, 4, MACHINE, one)
    assert kernel.sm_cycles == 64 * 32 * 48 // RATE
    assert kernel.body_cycles == ceil(sqrt(768**2 + (40000 / (32 * 0.8) + 500) ** 2))


def test_a_long_reduction_is_split_over_free_sms() -> None:
    # one block of 64 x 32 would keep one SM for 65536 cycles; the sums of 4 parts are read and written through L2
    one = case("gemm", l2_bytes_per_cycle=64, tile_64x32=1)
    kernel = matrix.gemm(1, 64, 32, 4096, 0, 4, MACHINE, one)
    assert kernel.splits == 4
    assert kernel.sm_cycles == 64 * 32 * 1024 // RATE
    assert kernel.reduction_cycles == 8 * 64 * 32 * 4 // (64 * SMS)


def test_operands_from_l2_bound_a_narrow_block() -> None:
    one = case("bmm", l2_bytes_per_cycle=16, tile_64x8=1)
    kernel = matrix.gemm(1, 64, 8, 80, 0, 4, MACHINE, one)
    assert kernel.block_cycles == (64 + 8) * 80 * 4 // 16 > 64 * 8 * 80 // RATE


def test_edges_cost_small_blocks_more() -> None:
    one = case("bmm", edge_elements=16, tile_64x64=1)
    kernel = matrix.gemm(1, 64, 64, 64, 0, 4, MACHINE, one)
    share = (64 / 80) ** 2 / (128 / 144) ** 2
    assert kernel.block_cycles == ceil(64 * 64 * 64 / RATE / share)


def test_power_limits_the_sustained_rate() -> None:
    free, limited = (case("bmm", tile_64x64=1, sustained_share=share) for share in (0, 0.5))
    fast, slow = (matrix.gemm(4, 64, 64, 6400, 0, 4, MACHINE, one) for one in (free, limited))
    assert fast.power_cycles == 0
    assert slow.total_cycles >= 2 * fast.sm_cycles
    assert slow.total_cycles == slow.body_cycles + slow.power_cycles


def algorithms(layer: Layer, one: Case) -> dict[str, int]:
    moved = 4 * (layer.input_elements + layer.weight_elements + layer.output_elements)
    kernels = convolution.choices(layer, moved, 4, MACHINE, one, RATE)
    return {kernel.algorithm: kernel.total_cycles for kernel in kernels}


def test_a_convolution_is_a_product_or_transformed_whichever_is_faster() -> None:
    layer = conv((1, 16, 14, 14), 64, 3, padding=1)
    slow = algorithms(layer, case("conv", fused_efficiency=0.5, fused_prologue_us=0.1))
    # product: 196 x 64 outputs are 2 x 2 blocks of 128 x 32 at 144 products an output
    assert slow["implicit_gemm"] == 128 * 32 * 144 // RATE
    # Winograd: 7 x 7 tiles of 2 x 2 outputs fill 2 strips of 8 x 4, for 2 x 32 filters; 25 elements per filter moved
    assert slow["winograd_fused"] == 16 * 32 * 32 * 16 * 2 // RATE + 100 + 25 * 4 * 16 * 64 // DRAM
    assert min(slow, key=lambda name: slow[name]) == "implicit_gemm"
    many = algorithms(conv((8, 64, 56, 56), 64, 3, padding=1), case("conv"))
    assert many["winograd_fused"] < many["implicit_gemm"]


@pytest.mark.parametrize(
    ("layer", "possible"),
    [
        (conv((1, 16, 14, 14), 16, 3), {"implicit_gemm", "winograd_fused", "winograd", "fft"}),
        (conv((1, 16, 14, 14), 16, 5), {"implicit_gemm", "winograd", "fft"}),
        (conv((1, 16, 14, 14), 16, 7), {"implicit_gemm", "fft"}),
        (conv((1, 16, 14, 14), 16, 1), {"implicit_gemm"}),
        (conv((1, 16, 14, 14), 16, 3, stride=2), {"implicit_gemm"}),
        (conv((1, 16, 14, 14), 16, 3, dilation=2), {"implicit_gemm"}),
        (conv((1, 16, 14, 14), 16, 3, groups=2), {"implicit_gemm"}),
        (conv((1, 16, 14, 14), 16, 3, groups=16), {"direct"}),
    ],
)
def test_shape_tells_which_algorithms_compute_a_convolution(layer: Layer, possible: set[str]) -> None:
    assert set(algorithms(layer, case("conv"))) == possible


def test_a_stride_saves_nothing_within_a_sector() -> None:
    # of 28 columns a 1 x 1 filter at stride 2 uses 14, but 8 floats come at once
    assert convolution.sector_bytes(conv((1, 3, 28, 28), 5, 1, stride=2), 4) == 4 * 3 * 14 * 14
    assert convolution.sector_bytes(conv((1, 3, 28, 28), 5, 3, stride=2), 4) == 0


def test_an_operator_that_streams_takes_its_launch_and_its_bytes() -> None:
    one = case("elementwise", launch_us=2, bandwidth_share=0.5, ramp_us=0.1, overlap_exponent=2)
    moving = 64000 / (DRAM * 0.5) + 100
    assert stream.cycles("elementwise", 64000, 17, 1, MACHINE, one) == pytest.approx(sqrt(2000**2 + moving**2))


def test_a_normalisation_reads_long_rows_again_and_odd_rows_in_parts() -> None:
    one = case("normalisation", reread=1, long_row_elements=1024, unaligned_factor=1.25)
    assert stream.passes("normalisation", 1024, 1, one) == 1
    assert stream.passes("normalisation", 4096, 1, one) == 1.5
    assert stream.passes("normalisation", 1023, 1, one) == 1.25
    assert stream.passes("elementwise", 1023, 1, one) == 1


def test_attention_at_the_peak_takes_both_products() -> None:
    one = case("attention", "tensor")
    whole = attention.prefill_cycles(1, 512, 512, 4, 4, 64, 2, MACHINE, one, causal=False)
    assert whole == 2 * 4 * 512 * 512 * 64 / (SMS * RATE)
    # blocks of 128 queries see (512 + 128) / 2 keys on average, in blocks of 128 begun or whole: 3 of 4
    causal = attention.prefill_cycles(1, 512, 512, 4, 4, 64, 2, MACHINE, one, causal=True)
    assert causal == 0.75 * whole


def test_one_query_reads_all_cached_keys_and_values() -> None:
    one = case("attention", "tensor", decode_launch_us=3)
    moved = 2 * 2 * 64 * (2 * 4 * 1000 + 2 * 8)
    assert attention.decode_cycles(2, 1000, 8, 4, 64, 2, MACHINE, one) == pytest.approx(3000 + moved / DRAM)

"""Convolutions: as an implicit matrix product, by Winograd or FFT, or directly; the library takes the fastest.

Which are possible is a matter of shape: Winograd in one kernel for 3x3, with transforms apart for 3x3 and 5x5, FFT from
3x3 on, all at stride 1 without groups or dilation and on ordinary cores only; direct for depthwise ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwsim.arch.source import Source
from hwsim.ir.layer import Layer
from hwsim.mapping.gpu import kernels
from hwsim.mapping.gpu.constants import CONVOLUTION, Case, array, menu_array
from hwsim.mapping.gpu.kernel import Kernel, rounded
from hwsim.mapping.gpu.matrix import gemm, kernel_of
from hwsim.mapping.gpu.transforms import FFT_POINTS, FFT_TILE, tiles
from hwsim.units import ceil_div

IMPLICIT_MENU = "128x32,128x64,128x128|1|128x128"
WINOGRAD_MENU = "128x128,64x128,32x128,64x64|1|128x128"
FFT_MENU = "64x64,128x64,64x128|1|128x128"
PADDED_MENU = "128x64,128x128|1|128x128"
WINOGRAD_TAIL_SHARE = 0.25
"""`tail_share` of Winograd's and Fourier's products."""

SECTOR_BYTES = 32
"""What L2 fetches at once: a stride along a row saves nothing within it."""

TENSOR_CHANNELS = 8
"""Tensor cores take channels and filters by eights; other convolutions run on ordinary cores, padded to 4 and 64."""

DIRECT_POSITIONS = 128
DIRECT_FILTERS = 8
DIRECT_SHARE = 0.35
"""Share of the rate of ordinary cores at which a depthwise convolution computes."""

SOURCES = {
    "convolution": Source.assumed("auto: each layer's fastest algorithm, as a library that tries them all takes it"),
    "blocks of convolutions": Source.assumed(
        "; ".join(
            f"{name} {menu.split('|')[0]}"
            for name, menu in (
                ("implicit products", IMPLICIT_MENU),
                ("Winograd's", WINOGRAD_MENU),
                ("Fourier's", FFT_MENU),
                ("padded ones", PADDED_MENU),
            )
        )
        + ", as cuDNN's kernels of these sizes are named; Winograd in one kernel has 8 x 4 tiles by 32 filters"
    ),
    "last wave of Winograd's products": Source.assumed(
        f"{WINOGRAD_TAIL_SHARE} of it is saved in proportion to its emptiness, about what fitted products have"
    ),
    "products of frequencies": Source.assumed(
        f"{kernels.FFT_SHARE} of the efficiency of Winograd's products, and three transforms' start: few were measured"
    ),
    "depthwise convolutions": Source.assumed(
        f"blocks of {DIRECT_POSITIONS} positions by up to {DIRECT_FILTERS} filters at {DIRECT_SHARE} of the rate of "
        "ordinary cores: none was measured"
    ),
    "strided reads": Source.assumed(
        f"L2 fetches sectors of {SECTOR_BYTES} bytes, the transactions of CUDA's programming guide"
    ),
    "channels of tensor cores": Source.assumed(
        f"by {TENSOR_CHANNELS}; other convolutions run on ordinary cores, padded to 4 channels and 64 filters, where "
        "those were measured"
    ),
}

AUTO = "auto"
ALGORITHMS = (AUTO, "implicit_gemm", "winograd", "winograd_fused", "fft")
"""What a chip can be told to convolve by: F(4x4) with transforms apart, F(2x2, 3x3) in one kernel, tiles of 32 x 32."""


def convolve(
    layer: Layer, dram_bytes: float, word_bytes: float, machine: Any, case: Case, simt_rate: float, wanted: str = AUTO
) -> Kernel:
    """Return the fastest kernel for a convolution, by the `wanted` algorithm where that computes it.

    `simt_rate` are fp32 multiply-accumulates per SM and cycle.
    """
    found = list(choices(layer, dram_bytes, word_bytes, machine, case, simt_rate))
    asked = [one for one in found if one.algorithm in runs_as(wanted)]
    return min(asked or found, key=lambda one: one.total_cycles)


def runs_as(wanted: str) -> tuple[str, ...]:
    """Return the kernels that run an algorithm: a product whose channels are padded is an implicit one, too."""
    return ("implicit_gemm", "padded_gemm") if wanted == "implicit_gemm" else (wanted,)


def choices(
    layer: Layer, dram_bytes: float, word_bytes: float, machine: Any, case: Case, simt_rate: float
) -> Iterator[Kernel]:
    """Yield the kernel of every algorithm that computes the layer."""
    dram_bytes += sector_bytes(layer, word_bytes)
    if layer.C == 1 and layer.G > 1:
        yield direct(layer, dram_bytes, machine, case, simt_rate)
    elif float(machine[1]) > simt_rate:
        yield on_tensor_cores(layer, dram_bytes, word_bytes, machine, case, simt_rate)
    else:
        shape = (layer.G, layer.positions, layer.K, layer.reduction)
        one = _with(case, IMPLICIT_MENU)
        yield gemm(*shape, dram_bytes, word_bytes, machine, one, algorithm="implicit_gemm")
        yield from transformed(layer, dram_bytes, word_bytes, machine, _with(case, WINOGRAD_MENU))


def sector_bytes(layer: Layer, word_bytes: float) -> float:
    """Return the bytes beside those used that come with them, where windows leave gaps along a row."""
    span = (layer.S - 1) * layer.dilation[1] + 1
    if layer.stride[1] <= span:
        return 0.0
    width = layer.input_shapes[0][3]
    fetched = min(width, layer.Q * span * SECTOR_BYTES / word_bytes)
    used = min(width, layer.Q * layer.S)
    return word_bytes * layer.input_elements_used * max(0.0, fetched / used - 1)


def on_tensor_cores(
    layer: Layer, dram_bytes: float, word_bytes: float, machine: Any, case: Case, simt_rate: float
) -> Kernel:
    """Return the implicit product on tensor cores, or on ordinary ones where it was measured that those take it."""
    shape = (layer.G, layer.positions, layer.K, layer.reduction)
    fits = layer.C % TENSOR_CHANNELS == 0 and layer.K % TENSOR_CHANNELS == 0
    if fits or len(case.values) != len(CONVOLUTION):
        depth = ceil_div(layer.C, TENSOR_CHANNELS) * TENSOR_CHANNELS * layer.R * layer.S
        whole = gemm(*shape[:3], depth, dram_bytes, word_bytes, machine, case, algorithm="implicit_gemm")
    else:
        machine = array((float(machine[0]), simt_rate, float(machine[2]), float(machine[3])))
        depth, filters = ceil_div(layer.C, 4) * 4 * layer.R * layer.S, ceil_div(layer.K, 64) * 64
        case = _with(case, PADDED_MENU)._replace(quantum=8.0)
        case = case.with_values({kernels.EFFICIENCY: case.values[kernels.SIMT_EFFICIENCY]})
        whole = gemm(
            layer.G, layer.positions, filters, depth, dram_bytes, word_bytes, machine, case, algorithm="padded_gemm"
        )
    batch, rows, cols, depth = shape
    return whole._replace(
        input_words=batch * rows * depth * ceil_div(cols, whole.tile_cols),
        weight_words=batch * depth * cols * ceil_div(rows, whole.tile_rows),
    )


def transformed(layer: Layer, dram_bytes: float, word_bytes: float, machine: Any, case: Case) -> Iterator[Kernel]:
    """Yield Winograd's and Fourier's kernels (Lavin and Gray, CVPR 2016; Vasilache et al., ICLR 2015)."""
    unit = (layer.stride, layer.dilation, layer.G) == ((1, 1), (1, 1), 1)
    if not unit or layer.R != layer.S or case.values[kernels.WINOGRAD_EFFICIENCY] <= 0:
        return
    values, menu = array(case.values), menu_array(case.menu)
    images, channels, rows, cols, filters, taps = layer.N, layer.C, layer.P, layer.Q, layer.K, layer.R
    if taps == 3:
        yield _fused(layer, dram_bytes, word_bytes, machine, case)
    if taps in (3, 5):
        read = layer.input_shapes[0][2] * layer.input_shapes[0][3]
        found = kernels.winograd(images, channels, read, rows, cols, filters, taps, word_bytes, menu, machine, values)
        shape = ((taps + 3) ** 2, tiles(layer, "winograd"), filters, channels)
        yield _kernel("winograd", found, menu, shape, machine, case)
    if 3 <= taps < FFT_TILE:
        menu = menu_array(FFT_MENU)
        found = kernels.fft(images, channels, rows, cols, filters, taps, word_bytes, menu, machine, values)
        shape = (4 * FFT_POINTS, tiles(layer, "fft"), filters, channels)
        yield _kernel("fft", found, menu, shape, machine, case)


def _fused(layer: Layer, dram_bytes: float, word_bytes: float, machine: Any, case: Case) -> Kernel:
    images, channels, filters = layer.N, layer.C, layer.K
    found = kernels.fused_winograd(
        images, channels, layer.P, layer.Q, filters, dram_bytes, word_bytes, machine, array(case.values)
    )
    shape = (16, tiles(layer, "winograd_fused"), filters, channels)
    kernel = kernel_of("winograd_fused", found, 32, 32, 1, shape, machine, case)
    strips = kernel.blocks // ceil_div(filters, 32)
    return kernel._replace(weight_words=16 * channels * filters * strips)


def _kernel(
    algorithm: str, found: tuple[Any, ...], menu: Any, shape: tuple[int, int, int, int], machine: Any, case: Case
) -> Kernel:
    tall, wide = (int(menu[found[1], side]) for side in (0, 1))
    return kernel_of(algorithm, found, tall, wide, 1, shape, machine, case._replace(quantum=8.0))


def _with(case: Case, menu: str) -> Case:
    """Return a case of other blocks; an implicit product, whose tensors stream, has no ramp and no shorter tail."""
    streams = {kernels.RAMP_US: 0.0, kernels.TAIL_SHARE: 0.0}
    changed = {kernels.TAIL_SHARE: WINOGRAD_TAIL_SHARE} if menu == WINOGRAD_MENU else streams
    return case.with_values(changed)._replace(menu=menu)


def direct(layer: Layer, dram_bytes: float, machine: Any, case: Case, simt_rate: float) -> Kernel:
    """Return a depthwise convolution: a block per channel and strip of outputs, bound by memory or by its loads."""
    wide = min(layer.K, DIRECT_FILTERS)
    block = rounded(DIRECT_POSITIONS * wide * layer.reduction / (simt_rate * DIRECT_SHARE))
    strips = ceil_div(layer.positions, DIRECT_POSITIONS)
    blocks = layer.G * strips * ceil_div(layer.K, wide)
    sm = ceil_div(blocks, int(machine[0])) * block
    values = case.values
    launch = rounded(values[kernels.LAUNCH_US] * float(machine[3]))
    memory = dram_bytes / (float(machine[2]) * values[kernels.BANDWIDTH_SHARE])
    body = kernels.overlapped(float(sm), memory, values[kernels.OVERLAP_EXPONENT])
    reads = layer.G * layer.positions * layer.reduction
    return Kernel(
        "direct", DIRECT_POSITIONS, wide, 1, blocks, block, block, launch, sm, max(sm, rounded(body)), 0, 0,
        reads * ceil_div(layer.K, wide), layer.weight_elements * strips,
    )  # fmt: skip

"""Prints what every algorithm of VGG's and ResNet's 3x3 convolutions saves, adds, moves and errs, and its time.

Run as `python benchmarks/algorithms.py`, or with names of networks. Counts are those of `hwsim.functional`, one image
in fp32, whole layers; times those of the chips' models; errors those of computed layers on seeded values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import hwsim
from hwsim import catalog
from hwsim.errors import HwsimError
from hwsim.formats.fp32 import fp32
from hwsim.functional import lowering
from hwsim.functional.algorithms import Algorithm, candidates
from hwsim.ir import Kind, Layer, NetworkBuilder

NETWORKS = ("vgg", "resnet:depth=50")

GPU = "gpu:v100"
OF_GPU = {"im2col": "implicit_gemm", "winograd_f2": "winograd_fused", "winograd_f4": "winograd", "fft": "fft"}
"""The GPU's kernel of each algorithm: an implicit product never writes its matrix, Fourier's tiles are of 32 x 32."""

CPU = "cpu:sapphire_rapids_vm_2c"

MOST_MACS = 4e8
"""Layers of more are computed on an eighth of their filters: their errors are of outputs one by one."""


def layers_of(name: str) -> Iterator[tuple[Layer, int]]:
    """Yield a network's 3x3 convolutions at stride 1, one of each shape, and how many have it."""
    found: dict[tuple[object, ...], list[Layer]] = {}
    for layer in catalog.network(name).layers:
        if layer.kind is Kind.CONV and (layer.R, layer.S, layer.stride, layer.G) == (3, 3, (1, 1), 1):
            found.setdefault((layer.C, layer.K, layer.P, layer.Q), []).append(layer)
    yield from ((same[0], len(same)) for same in found.values())


def predicted_us(layer: Layer, chip: str, wanted: str) -> float | None:
    """Return the time of a layer alone on a chip by an algorithm; None where the chip has none of the name."""
    net = NetworkBuilder("alone")
    shape = (layer.N, layer.C, layer.input_shapes[0][2], layer.input_shapes[0][3])
    net.conv("conv", net.input("x", shape), layer.K, (layer.R, layer.S), padding=layer.padding)
    try:
        (row,) = hwsim.simulate(net.build(), on=f"{chip},convolution={wanted}", format="fp32").rows
    except HwsimError:
        return None
    return 1e6 * float(row["seconds"]) if row["algorithm"] == wanted else None


def error(layer: Layer, one: Algorithm) -> float:
    """Return the largest error of an algorithm over the largest output, as its kernel computes the layer."""
    several = layer.K if layer.macs <= MOST_MACS else layer.K // 8
    few = replace(layer, K=several, output_shape=(layer.N, several, layer.P, layer.Q))
    x, weights = lowering.random_operands(few, fp32, 7)
    exact = lowering.input_matrix(few, x, 0).astype(np.float64) @ lowering.weight_matrix(few, weights, 0)
    found = one.compute(few, x, weights).transpose(0, 2, 3, 1).reshape(exact.shape)
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def line(layer: Layer, one: Algorithm) -> str:
    """Return the line of an algorithm on a layer."""
    saved, added = 1 - one.multiplications(layer) / layer.macs, one.additions(layer) / layer.macs
    times = (predicted_us(layer, GPU, OF_GPU.get(one.name, "")), predicted_us(layer, CPU, one.name))
    said = "".join(f"{'-' if time is None else f'{time:.0f}':>10}" for time in times)
    moved = 4 * one.traffic_words(layer) / 2**20
    bound = one.error_bound(layer, 1.0, 1.0)
    return f"    {one.name:<12}{saved:9.3f}{added:9.3f}{moved:9.2f}{said}{error(layer, one):10.1e}{bound:10.1e}"


def main() -> None:
    """Print a table of each network."""
    print("multiplications saved, and additions of transforms, over MACs (Fourier's multiplications with those of its")
    print("transforms); MiB between passes; us on the chips; error over the largest output, and its bound over")
    print("max |x| max_k sum |w_k|. A GPU's im2col is its implicit product, which writes no matrix.")
    for name in sys.argv[1:] or NETWORKS:
        heads = ("saved", "added", "MiB", GPU.partition(":")[2], "cpu", "error", "bound")
        print(f"\n{name}\n{'':16}" + "".join(f"{head:>{wide}}" for head, wide in zip(heads, WIDTHS, strict=True)))
        for layer, several in layers_of(name):
            print(f"  {layer.name}: {layer.C} to {layer.K} channels, {layer.P} x {layer.Q}, {several} of them")
            for one in candidates(layer):
                print(line(layer, one))


WIDTHS = (9, 9, 9, 10, 10, 10, 10)


if __name__ == "__main__":
    main()

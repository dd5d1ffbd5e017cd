"""The GPU stepped block by block finds what is computed in closed form, with the reference's values."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import attention, conv, linear, network_of

import hwsim
from hwsim.engine import gpu_transforms
from hwsim.formats.fp32 import fp32
from hwsim.functional import lowering
from hwsim.ir import Network
from hwsim.mapping.gpu import transforms

PRODUCTS = network_of(
    linear(1, 1, 1), linear(131, 257, 67), linear(13, 17, 5003), attention(3, 7, 5, 11), linear(2, 13, 11, steps=3)
)
CONVOLUTIONS = network_of(
    conv((2, 6, 11, 7), 4, 3, stride=2, padding=(1, 0, 2, 1), groups=2),
    conv((1, 3, 13, 13), 5, (1, 3), dilation=(1, 2)),
    conv((1, 7, 7, 7), 7, 3, padding=1, groups=7),
    conv((2, 31, 13, 11), 37, 3, padding=1),
    conv((1, 16, 28, 28), 19, 5, padding=2),
)


@pytest.mark.parametrize(
    "triple",
    [("h100", "bf16"), ("h100", "fp8"), ("h100", "tf32"), ("t4", "int8"), ("v100", "fp16"), ("titan_x", "fp32")],
    ids="-".join,
)
@pytest.mark.parametrize("network", [PRODUCTS, CONVOLUTIONS], ids=["products", "convolutions"])
def test_stepped_equals_closed_in_every_cycle_and_count(triple: tuple[str, str], network: Network) -> None:
    machine, fmt = triple
    closed, stepped = (
        hwsim.simulate(network, on=f"gpu:{machine}", format=fmt, fidelity=fidelity)
        for fidelity in ("closed", "stepped")
    )
    assert stepped.rows == closed.rows


@pytest.mark.parametrize("algorithm", ["winograd", "winograd_fused", "fft", "gemv"])
def test_every_algorithm_that_is_taken_steps_like_its_closed_form(algorithm: str) -> None:
    layer, chip = {
        "winograd": (conv((1, 16, 28, 28), 19, 5, padding=2), "gpu:v100_pcie"),
        "winograd_fused": (conv((1, 32, 28, 28), 32, 3, padding=1), "gpu:v100_pcie"),
        "fft": (conv((1, 13, 40, 40), 17, 7, padding=3), "gpu:h100,calibration=none"),
        "gemv": (linear(1, 3001, 501), "gpu:titan_x"),
    }[algorithm]
    closed = hwsim.simulate(network_of(layer), on=chip, format="fp32")
    assert closed.rows[0]["algorithm"] == algorithm
    assert hwsim.simulate(network_of(layer), on=chip, format="fp32", fidelity="stepped").rows == closed.rows


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("size", [2, 4])
def test_winograd_is_the_convolution(size: int, taps: int) -> None:
    layer = conv((2, 5, 11, 13), 7, taps, padding=taps // 2)
    x, weights = lowering.random_operands(layer, fp32, 0)
    expected = lowering.product(lowering.input_matrix(layer, x, 0), lowering.weight_matrix(layer, weights, 0), fp32)
    sums = np.stack([a @ b for a, b in gpu_transforms.winograd(layer, x, weights[0], size)])
    assert len(sums) == (size + taps - 1) ** 2
    np.testing.assert_allclose(gpu_transforms.winograd_back(layer, sums, size), expected, atol=2e-4)


def test_winograds_transforms_are_those_published() -> None:
    # Lavin and Gray, CVPR 2016, eq. 9, up to the signs of rows that cancel between inputs and outputs
    outputs, filters, inputs = gpu_transforms.matrices(2, 3)
    np.testing.assert_allclose(np.abs(outputs), [[1, 1, 1, 0], [0, 1, 1, 1]])
    scaled = np.abs(inputs[:, :, None] * filters[:, None, :]).max(axis=(1, 2))
    published = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(scaled, published.max(axis=1))


@pytest.mark.parametrize(("algorithm", "taps"), [("winograd_fused", 3), ("winograd", 3), ("winograd", 5)])
def test_additions_of_winograd_are_the_entries_of_its_matrices(algorithm: str, taps: int) -> None:
    layer, size = conv((1, 1, 1, 1), 1, taps, padding=taps // 2), transforms.ALGORITHMS[algorithm]
    matrices = gpu_transforms.matrices(size, taps)
    # each is applied to all columns it is given and to all rows it makes
    expected = sum(int((np.abs(one) > 1e-6).sum()) * sum(one.shape) for one in matrices)
    assert transforms.additions(layer, algorithm) == expected


def test_lavin_and_grays_counts_of_f4x4() -> None:
    # CVPR 2016, Sec. 4.3: 36 products for 16 outputs, 4 times fewer than 144; a tile of 32 x 32 for 30 x 30 outputs
    layer = conv((1, 1, 60, 60), 1, 3, padding=1)
    assert 4 * transforms.macs(layer, "winograd") == layer.macs
    assert 9 * transforms.macs(layer, "winograd_fused") == 4 * layer.macs
    assert transforms.macs(layer, "fft") == 4 * (4 * 32 * 17)

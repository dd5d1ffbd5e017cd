"""The systolic array: closed form and stepped simulation agree exactly, and what is stepped computes the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import DATAFLOWS, FORMATS, arrays, attention, conv, layers, linear, network_of, placed

import hwsim
from hwsim.engine import array, array_stepped
from hwsim.functional import lowering
from hwsim.ir import Kind, Layer

MOST_FOLDS = 1500
"""Largest layers that are stepped; each fold is a call from Python."""


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile the kernels, or load them from numba's cache, before anything here is timed."""
    for dataflow in DATAFLOWS:
        for fmt in FORMATS:
            array_stepped.run(*placed(linear(3, 7, 2), dataflow, fmt, rows=2, cols=2, bandwidth_gb_s=1))


def reference(layer: Layer, x: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Return a layer's outputs (G, positions, K) in the widest type, one filter tap at a time over shifted images."""
    wide = np.int64 if x.dtype.kind == "i" else np.float64
    x, weights = x.astype(wide), weights.astype(wide)
    if layer.kind is not Kind.CONV:
        product: NDArray[Any] = np.einsum("gnc,gkc->gnk", x, weights[..., 0, 0])
        return product
    (top, left, bottom, right), (up, along) = layer.padding, layer.stride
    image = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))).reshape(
        layer.N, layer.G, layer.C, *_padded(layer)
    )
    out = np.zeros((layer.G, layer.N, layer.P, layer.Q, layer.K), wide)
    for r in range(layer.R):
        for s in range(layer.S):
            row, col = r * layer.dilation[0], s * layer.dilation[1]
            window = image[..., row : row + layer.P * up : up, col : col + layer.Q * along : along]
            out += np.einsum("ngcpq,gkc->gnpqk", window[..., : layer.P, : layer.Q], weights[..., r, s])
    return out.reshape(layer.G, layer.positions, layer.K)


def _padded(layer: Layer) -> tuple[int, int]:
    (_, _, height, width), (top, left, bottom, right) = layer.input_shapes[0], layer.padding
    return height + top + bottom, width + left + right


@settings(max_examples=200, deadline=None)
@given(layers(), arrays(), st.sampled_from(DATAFLOWS), st.sampled_from(FORMATS))
def test_stepped_and_closed_form_agree_and_outputs_are_the_operators(
    layer: Layer, parameters: dict[str, Any], dataflow: str, fmt: str
) -> None:
    mapping, chip, number_format = placed(layer, dataflow, fmt, **parameters)
    f = mapping.folding
    assume(f.copies * f.chunks * f.row_folds * f.col_folds <= MOST_FOLDS)
    stepped, closed = (
        array_stepped.run(mapping, chip, number_format, seed=7),
        array.closed(mapping, chip, number_format),
    )
    assert stepped.outcome.timing == closed.timing
    assert stepped.outcome.counts == closed.counts
    assert stepped.outcome.counts["mac", fmt, "output"] == layer.macs
    expected = np.concatenate(
        [reference(layer, *lowering.random_operands(layer, number_format, 7 + time)) for time in range(layer.steps)]
    )
    if number_format.kind == "int":
        # the accumulator wraps, so wrap the exact sum
        np.testing.assert_array_equal(stepped.outputs, expected.astype(number_format.accumulator))
    else:
        np.testing.assert_allclose(stepped.outputs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_what_steps_does_not_depend_on_the_values(dataflow: str) -> None:
    arguments = placed(conv((1, 2, 5, 5), 3, 3), dataflow, rows=5, cols=3)
    first, second = (array_stepped.run(*arguments, seed=seed) for seed in (0, 1))
    assert first.outcome == second.outcome
    assert not np.array_equal(first.outputs, second.outputs)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_stepped_output_that_is_not_the_reference_is_a_bug(fmt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "product", lambda a, b, _fmt: 1 + a.astype(np.float64) @ b)
    with pytest.raises(RuntimeError, match="layer 'linear': 6 of 6 stepped outputs differ from the reference"):
        array_stepped.run(*placed(linear(3, 7, 2), "output_stationary", fmt))


@pytest.mark.parametrize("fmt", ["int8", "int16", "fp16", "bf16", "fp32"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_simulate_gives_the_same_rows_at_both_fidelities(dataflow: str, fmt: str) -> None:
    network = network_of(
        conv((2, 3, 7, 5), 5, (3, 2), stride=2, padding=1), linear(3, 11, 7, steps=2), attention(2, 3, 5, 7)
    )
    chip = "systolic:rows=5,cols=3,ofmap_kib=0.1,bandwidth_gb_s=3"
    closed, stepped = (
        hwsim.simulate(network, on=chip, dataflow=dataflow, format=fmt, fidelity=fidelity)
        for fidelity in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows
    assert [layer.counts for layer in closed.layers] == [layer.counts for layer in stepped.layers]

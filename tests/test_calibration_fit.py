"""Constants fitted to times: those that made the times are found again, and what tells nothing stays expected."""

from __future__ import annotations

from math import inf

import pytest

from hwsim.mapping.cpu.constants import CLASSES, LIMITS, Constants
from hwsim.mapping.cpu.machine import Cache, Curve, Machine
from hwsim.mapping.cpu.work import Work
from hwsim.measure.calibration_fit import Timed, fit, predicted, prior
from hwsim.measure.calibration_networks import calibration_networks, call, is_fitted_on

TRUE = Constants(
    efficiency=0.37, row_half=3.1, serial_share=0.03, call_s=2e-6, fork_s=1.5e-6, bandwidth_share=0.9,
    overlap_exponent=2.0,
)  # fmt: skip


def machine(threads: int) -> Machine:
    return Machine(threads, 10**9, {"fp32": 10.0}, {}, 16, (Cache(1e5, 8e9), Cache(1e6, 4e9)), 4e9, 2e9, inf)


def timed(true: Constants) -> list[Timed]:
    """Return products of 1 to 211 rows on one thread and two, in the times that `true` constants give."""
    rows = [
        Timed(Work("gemm", n * 317 * 1009, 4e3, 1e4, 4e3, 1, row=n), "fp32", machine(threads), 1e5, 1e-3, 0.0)
        for n in (1, 3, 17, 83, 211)
        for threads in (1, 2)
    ]
    seconds = predicted(rows, true, {threads: Curve(machine(threads)) for threads in (1, 2)})
    return [row._replace(seconds=float(one)) for row, one in zip(rows, seconds, strict=True)]


def test_constants_that_made_the_times_are_found_again() -> None:
    found = fit(timed(TRUE), "gemm", "fp32")
    assert found.efficiency == pytest.approx(TRUE.efficiency, rel=0.05)
    assert found.row_half == pytest.approx(TRUE.row_half, rel=0.1)


def test_a_constant_that_times_do_not_tell_stays_as_expected() -> None:
    # the longest takes 0.2 s: a call of 2 us is nothing of it
    long = [row for row in timed(TRUE._replace(call_s=7e-6)) if row.work.row == 211]
    assert fit(long, "gemm", "fp32").call_s == pytest.approx(prior("gemm", "fp32")["call_s"], rel=0.01)


@pytest.mark.parametrize("fmt", ["fp32", "int8"])
def test_what_is_expected_of_every_class_is_among_the_constants_and_in_their_ranges(fmt: str) -> None:
    for op_class in CLASSES:
        expected = prior(op_class, fmt)
        assert all(LIMITS[name][0] <= value <= LIMITS[name][1] for name, value in expected.items())
        assert Constants(**expected)


def test_forty_shapes_at_most_are_fitted_on_and_a_call_is_none_of_them() -> None:
    shapes = {
        (layer.kind, layer.function, layer.input_shapes, layer.output_shape, layer.R, layer.S, layer.stride, layer.G)
        for network in calibration_networks()
        for layer in network.layers
        if is_fitted_on(layer) and layer.is_mac
    }
    assert 0 < len(shapes) <= 40
    assert not any(is_fitted_on(layer) for layer in call().layers)

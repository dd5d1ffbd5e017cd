"""What a prediction costs: microseconds per layer of `simulate`, network and chip built from their specs each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import hwsim

NETWORK, REPEATS = "resnet:depth=50", 60
CHIPS = (("gpu:h100", "bf16"), ("gpu:v100", "fp32"), ("systolic", "bf16"))
"""The last is what the others are compared with."""

TARGET_US = 30.0


def us_per_layer(run: Callable[[], hwsim.NetworkResult]) -> float:
    """Return the median time of `run` over the layers of its result [us]; the first call compiles and is not timed."""
    layers = len(run().layers)
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return 1e6 * median(times) / layers


def report() -> None:
    """Print a line for each chip."""
    found = {on: us_per_layer(partial(hwsim.simulate, NETWORK, on=on, format=fmt)) for on, fmt in CHIPS}
    print(f"{NETWORK} on | us per layer | times the systolic chip's | target [us]")
    for on, cost_us in found.items():
        print(f"{on} | {cost_us:.1f} | {cost_us / found['systolic']:.2f} | {TARGET_US:g}")

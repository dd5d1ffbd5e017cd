"""Times the six applications of the TPU paper on TPU v1, closed and by events, and holds them against its Table 3.

Run as `python benchmarks/tpu_v1.py`. The comparison is made for both readings of the chip's issue and for both
bandwidths of its weight memory that the paper prints. What it asserts is what was counted, not how long it took.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from statistics import median

from against_scale_sim import timed

import hwsim
from hwsim import catalog
from hwsim.engine import tiles_events, vector
from hwsim.mapping.compile import compile_network
from hwsim.mapping.placed import Placed
from hwsim.mapping.program import Program
from hwsim.results.compare import scores

APPS = ("MLP0", "MLP1", "LSTM0", "LSTM1", "CNN0", "CNN1")
TABLE = "tpu_v1_table3"
IN_TABLE = ("MLP0", "LSTM1", "CNN0")
SHARES = ("array_active_fraction", "weight_stall_fraction", "weight_shift_fraction", "non_matrix_fraction")
TOPS = "TOPS"
ISSUES = ("in_order", "decoupled")
BANDWIDTHS_GIB_S = {"30 GiB/s": 30, "34 GB/s": 34e9 / 2**30}
"""Figure 1 and Table 2."""

REPEATS = 11


def compiled(app: str) -> Program:
    """Return the program of an application."""
    network, chip = catalog.network(f"tpu_apps:app={app}"), catalog.chip("tpu_v1")
    fmt, fused = catalog.number_format(network.format), vector.fused_producers(network)
    place = catalog.dataflow(chip.dataflow)
    placed = [
        Placed(layer, place(layer, chip, fmt) if layer.is_mac else None, fmt, fused.get(layer.name, ""))
        for layer in network.layers
    ]
    return compile_network(network, placed, chip, fmt)


def print_speed(app: str) -> None:
    """Print the median time of a whole simulation in closed form, that of its units by events, and the events."""
    network = catalog.network(f"tpu_apps:app={app}")
    results = [hwsim.simulate(network, on="tpu_v1")]
    closed_s = median(timed(lambda: results.append(hwsim.simulate(network, on="tpu_v1"))) for _ in range(REPEATS))
    program = compiled(app)
    logs = [tiles_events.observe(program)]
    events_s = median(timed(lambda: logs.append(tiles_events.observe(program))) for _ in range(REPEATS))
    tiles, blocks = program.tiles_by_layer.total(), len(program.blocks)
    assert max(logs[0].complete) == results[0].total["total_cycles"], "events and closed form count different cycles"
    assert logs[0].events <= 11 * tiles + 9 * blocks + 20, "more events than a few per tile and block"
    print(
        f"{app:6}{len(network.layers):7}{blocks:8}{tiles:7}{closed_s * 1e3:11.1f}{events_s:10.3f}{logs[0].events:8}"
        f"{results[0].total['total_cycles']:12,}"
    )


def print_comparison(issue: str, bandwidth: str) -> None:
    """Print shares and TOPS beside the published ones, and the errors of one variant of the chip."""
    chip = catalog.chip(f"tpu_v1:issue={issue},bandwidth_gib_s={BANDWIDTHS_GIB_S[bandwidth]}")
    # under its plain name it stands in for the chip of the table
    chip = replace(chip, label="")
    results = [hwsim.simulate(f"tpu_apps:app={app}", on=chip) for app in IN_TABLE]
    compared = hwsim.compare(results, TABLE)
    error = next(one for one in scores(compared) if (one.unit, one.quantity) == (TOPS, ""))
    print(
        f"\nissue={issue}, {bandwidth}: TOPS off by {error.mean_error_percent:.2f} % on average, "
        f"{sum(one.met == 'yes' for one in compared)} of {sum(one.expectation.scored for one in compared)} rows met"
    )
    for one in compared:
        if one.expectation.quantity in SHARES or (one.expectation.unit == TOPS and one.in_mean):
            print(
                f"  {one.subject.network:6}{one.expectation.quantity:24}{one.expectation.published:8.3f}"
                f"{one.simulated:8.3f}  {one.met}"
            )


def main() -> None:
    """Print how long each application takes to simulate, then each variant beside the paper."""
    print(f"{'':6}{'layers':>7}{'blocks':>8}{'tiles':>7}{'closed ms':>11}{'events s':>10}{'events':>8}{'cycles':>12}")
    for app in APPS:
        print_speed(app)
    for issue, bandwidth in product(ISSUES, BANDWIDTHS_GIB_S):
        print_comparison(issue, bandwidth)


if __name__ == "__main__":
    main()

"""Measures both fidelities of the systolic array: layers or PE-cycles per second, and peak memory.

Run as `python benchmarks/engine.py`; compilation is not counted. What it asserts is what was counted, not how long
it took.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Callable
from statistics import median

from against_scale_sim import mib, timed

import hwsim
from hwsim import catalog
from hwsim.engine import array
from hwsim.ir import Network, NetworkBuilder
from hwsim.mapping import ArrayMapping

LAYERS = 500
CLOSED_REPEATS = 15
STEPPED_REPEATS = 3
SIDES = (32, 128)
DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")


def random_network(seed: int) -> Network:
    """Return `LAYERS` different convolutions and matrix products of sizes that published networks have."""
    draw, net = random.Random(seed), NetworkBuilder(f"random{seed}")
    for index in range(LAYERS):
        if index % 3:
            extent, depth = draw.randint(7, 113), draw.choice((3, 16, 64, 96, 128, 256))
            kernel, x = draw.choice((1, 3, 5)), net.input(f"x{index}", (1, depth, extent, extent + index % 5))
            net.conv(
                f"conv{index}", x, draw.randint(8, 512), kernel, stride=draw.choice((1, 1, 2)), padding=kernel // 2
            )
        else:
            x = net.input(f"x{index}", (draw.randint(1, 300), draw.randint(16, 4096)))
            net.linear(f"linear{index}", x, draw.randint(10, 4096))
    return net.build()


def closed_layers_per_s(dataflow: str) -> float:
    """Return the median rate over networks that share no layer: mapping, cycles, counts, energy and record of each."""
    seconds = []
    for seed in range(CLOSED_REPEATS):
        network = random_network(seed)
        results: list[hwsim.NetworkResult] = []
        seconds.append(timed(lambda: results.append(hwsim.simulate(network, dataflow=dataflow))))  # noqa: B023
        (result,) = results
        assert (
            result.total["macs"]
            == network.macs
            == sum(layer.counts["mac", "int8", "output"] for layer in result.layers)
        ), "MACs are lost"
    return LAYERS / median(seconds)


def stepped_pe_cycles_per_s(dataflow: str, side: int) -> float:
    """Return the median rate on `side` x `side` PEs: 2 x 2 folds with edge tiles, streams of four times the side."""
    chip, fmt = catalog.chip(f"systolic:rows={side},cols={side}"), catalog.number_format("int8")
    edge, stream = 2 * side - 3, 4 * side
    positions, reduction, filters = {
        "weight_stationary": (stream, edge, edge),
        "output_stationary": (edge, stream, edge),
        "input_stationary": (edge, edge, stream),
    }[dataflow]
    net = NetworkBuilder("product")
    net.linear("product", net.input("x", (positions, reduction)), filters)
    layer = net.build().layers[0]
    mapping = catalog.dataflow(dataflow)(layer, chip, fmt)
    assert isinstance(mapping, ArrayMapping)
    closed, outcomes = array.closed(mapping, chip, fmt), [array.stepped(mapping, chip, fmt)]
    seconds = [timed(lambda: outcomes.append(array.stepped(mapping, chip, fmt))) for _ in range(STEPPED_REPEATS)]
    for outcome in outcomes:
        assert outcome.timing == closed.timing, "the two fidelities count different cycles"
        assert outcome.counts["mac", "int8", "output"] == layer.macs, "MACs are lost"
    busy_cycles = closed.timing.total_cycles - closed.timing.stall_cycles
    return busy_cycles * side * side / median(seconds)


def print_rates(what: str) -> None:
    """Print the rates of "closed" or "stepped" and the peak memory of the process that found them."""
    rates: dict[str, Callable[[], str]]
    if what == "closed":
        rates = {
            f"closed  {name}": lambda name=name: f"{closed_layers_per_s(name):14,.0f} layers/s"  # type: ignore[misc]
            for name in DATAFLOWS
        }
    else:
        rates = {
            f"stepped {name} {side}x{side}": lambda name=name, side=side: (
                f"{stepped_pe_cycles_per_s(name, side):14,.0f} PE-cycles/s"
            )  # type: ignore[misc]
            for name in DATAFLOWS
            for side in SIDES
        }
    for label, rate in rates.items():
        print(f"{label:36}{rate()}")
    print(f"{what:36}{mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss):14,.0f} MiB peak", flush=True)


def main() -> None:
    """Run each fidelity in a process of its own, so that each has its own peak memory."""
    for what in sys.argv[1:] or ("closed", "stepped"):
        if len(sys.argv) > 1:
            print_rates(what)
        else:
            subprocess.run([sys.executable, __file__, what], check=True)


if __name__ == "__main__":
    main()

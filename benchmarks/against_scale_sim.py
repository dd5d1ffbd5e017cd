"""Times SCALE-Sim 3 and the closed form on AlexNet's convolutions: 128 x 128 PEs, output-stationary, no memory stalls.

Run as `python benchmarks/against_scale_sim.py`. What it asserts is what both counted, not how long they took.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import hwsim
from hwsim.ir import Network, NetworkBuilder

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

CHIP = "systolic:rows=128,cols=128,bandwidth_gb_s=inf"
REPEATS = 101


@dataclass(frozen=True)
class Cost:
    """What one side took: cycles it counted per layer, CPU time [s], peak resident memory [MiB]."""

    cycles: tuple[int, ...]
    cpu_s: float
    peak_mib: float


def alexnet() -> Network:
    """Return SCALE-Sim's AlexNet: its first ifmap of 224 is padded by 3 because SCALE-Sim rounds the 55th window up."""
    net = NetworkBuilder("alexnet")
    for name, depth, extent, channels, kernel, stride, beyond in LAYERS:
        net.conv(
            name,
            net.input(f"{name}.x", (1, depth, extent, extent)),
            channels,
            kernel,
            stride=stride,
            padding=(0, 0, beyond, beyond),
            bias=False,
        )
    return net.build()


def scale_sim_cost() -> Cost:
    """Return what SCALE-Sim's process took, its start included."""
    from scale_sim import Machine, interpreter, run
    from scale_sim_sample import ALEXNET

    with tempfile.TemporaryDirectory() as folder:
        python = interpreter(Path(folder))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        reports = run(python, Machine("os", 128, 128), ALEXNET)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(tuple(report.total_cycles for report in reports), cpu_s, mib(after.ru_maxrss))


def closed_form_cost() -> Cost:
    """Return the median of many simulations in this process, after one that imports and compiles."""
    network = alexnet()
    cycles = simulated_cycles(network)
    return Cost(
        cycles,
        median(timed(lambda: simulated_cycles(network)) for _ in range(REPEATS)),
        mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
    )


def simulated_cycles(network: Network) -> tuple[int, ...]:
    result = hwsim.simulate(network, on=CHIP, dataflow="output_stationary")
    return tuple(layer.timing.total_cycles for layer in result.layers)


def timed(call: Callable[[], object]) -> float:
    """Return seconds of one call; the closed form runs in one thread, so they are its CPU seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def mib(maxrss: int) -> float:
    """Return [MiB] for getrusage's peak, which is in bytes on macOS and in KiB elsewhere."""
    return maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print both costs and their ratio. SCALE-Sim prints the index of the last cycle, one less than the count."""
    theirs, ours = scale_sim_cost(), closed_form_cost()
    for name, cost in (("SCALE-Sim 3", theirs), ("hwsim closed form", ours)):
        print(f"{name:18} {cost.cpu_s:12.6f} s CPU {cost.peak_mib:8.0f} MiB peak   cycles {cost.cycles}")
    print(f"{'ratio':18} {theirs.cpu_s / ours.cpu_s:12.0f}       {theirs.peak_mib / ours.peak_mib:8.1f}")
    assert ours.cycles == tuple(cycle + 1 for cycle in theirs.cycles), "the two count different cycles"


LAYERS = (
    ("conv1", 3, 224, 96, 11, 4, 3),
    ("conv2", 96, 27, 256, 5, 1, 0),
    ("conv3", 256, 13, 384, 3, 1, 0),
    ("conv4", 384, 13, 384, 3, 1, 0),
    ("conv5", 384, 13, 256, 3, 1, 0),
)
"""Name, input channels, ifmap size, filters, filter size, stride, rows that the last window reads beyond the ifmap."""

if __name__ == "__main__":
    main()

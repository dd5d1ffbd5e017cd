"""What calibration is worth to the CPU model: datasheet alone beside calibrated, by class of operators.

    python benchmarks/cpu.py [--out DIR]

With --out, the layers of ResNet-50 in fp32 are written and drawn as `hwsim compare --with measured` does, from the two
recorded sessions. Errors are mean absolute percentages over the layers that `hwsim validate --only cpu:` scores, which
tells the rest.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

import hwsim
from hwsim import catalog
from hwsim.measure import beside
from hwsim.measure.recorded import Recorded
from hwsim.results.record import LayerResult, NetworkResult
from hwsim.validate.cpu import LEAST_S, Run, recorded


def seconds(one: LayerResult) -> float:
    """Return the predicted time of a layer."""
    return one.timing.total_cycles / one.chip.clock_hz


def errors_of(result: NetworkResult, times: dict[str, list[float]]) -> dict[str, tuple[str, float]]:
    """Return the class and the relative error of every layer that is long enough to be told."""
    return {
        one.layer.name: (
            one.extras["op_class"] or "fused here, not there",
            abs(seconds(one) / median(times[one.layer.name]) - 1),
        )
        for one in result.layers
        if one.layer.name in times and median(times[one.layer.name]) >= LEAST_S
    }


DRAWN = ("resnet:depth=50", "fp32")
"""The network and format whose layers are drawn."""


def draw(folder: Path) -> list[Path]:
    """Write the layers of the network that is drawn, and their picture; return the paths."""
    found = ((run, times) for run, times in recorded().items() if (run.network, run.format) == DRAWN)
    return beside.write([row for run, times in found for row in _beside(run, times).table_rows()], folder)


def _beside(run: Run, times: dict[str, list[float]]) -> beside.Beside:
    """Return the layers of two recorded sessions beside their predictions."""
    network, fmt = catalog.network(run.network), catalog.number_format(run.format)
    first, second = ({layer: told[session] for layer, told in times.items() if layer} for session in (0, 1))
    chip = f"cpu:{run.machine}"
    ran = Recorded(network, fmt, "cpu", chip, run.library, int(run.threads), first, second, {}, ())
    return beside.beside(ran, chip)


def main() -> None:
    """Print a line per class and format, then all; or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the layers of ResNet-50 and their picture")
    asked = parser.parse_args()
    if asked.out is not None:
        print(*draw(asked.out), sep="\n")
        return
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for run, times in recorded().items():
        chip = f"cpu:{run.machine}"
        fitted, plain = (
            errors_of(hwsim.simulate(run.network, on=on, format=run.format), times)
            for on in (chip, f"{chip},calibration=none")
        )
        for layer, (op_class, error) in fitted.items():
            for key in ((run.format, op_class), (run.format, "all")):
                found[key].append((plain[layer][1], error))
    print(f"{'format':8}{'class':24}{'layers':>8}{'datasheet':>11}{'calibrated':>12}")
    for (fmt, op_class), pairs in sorted(found.items()):
        ideal, ours = (100 * mean(column) for column in zip(*pairs, strict=True))
        print(f"{fmt:8}{op_class:24}{len(pairs):8}{ideal:11.1f}{ours:12.1f}")


if __name__ == "__main__":
    main()

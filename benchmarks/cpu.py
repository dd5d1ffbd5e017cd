"""What calibration is worth to the CPU model: datasheet alone beside calibrated, by class of operators.

    python benchmarks/cpu.py

Errors are mean absolute percentages over the layers that `hwsim validate --only cpu:` scores, which tells the rest.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, median

import hwsim
from hwsim.results.record import LayerResult, NetworkResult
from hwsim.validate.cpu import LEAST_S, recorded


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


def main() -> None:
    """Print a line per class and format, then all."""
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

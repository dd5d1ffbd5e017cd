"""The CPU model beside what was measured: onnxruntime in fp32 and int8, layer by layer and whole networks.

    python benchmarks/cpu.py

Constants were fitted on the calibration networks' forty shapes, of which none is in the networks told here. Errors are
mean absolute percentages over layers of at least 10 us: the library's profile, whose own 2 to 4 us per operator are
taken off, tells shorter ones apart badly. The floor is how far two sessions, minutes apart, are from each other.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from math import prod
from pathlib import Path
from statistics import mean, median

import hwsim
from hwsim.ir import Layer
from hwsim.results.record import NetworkResult

TABLE = Path(__file__).parent.parent / "hwsim" / "measured" / "cpu_onnxruntime.csv"
MACHINE, LEAST_S = "sapphire_rapids_vm_2c", 10e-6
MACS_S, MEMORY_BYTES_S = {"fp32": 2 * 32 * 3.64e9, "int8": 2 * 1024 * 3.64e9}, 36e9

Key = tuple[str, str]
Times = dict[str, list[float]]


def measured() -> dict[Key, Times]:
    """Return seconds on all threads by network and format, by layer, "" being the whole; one value per session."""
    found: dict[Key, Times] = defaultdict(lambda: defaultdict(list))
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["threads"] == "2" and not row["network"].startswith("calibration"):
                found[row["network"], row["format"]][row["layer"]].append(float(row["seconds"]))
    return found


def roofline_s(layer: Layer, fmt: str, steps: int) -> float:
    """Return the time at the peak rate or at the bandwidth of memory."""
    size = 4 if fmt == "fp32" else 1
    shared = layer.weight_elements if len(layer.inputs) == 1 else 0
    moved = size * (shared + steps * (sum(map(prod, layer.input_shapes)) + layer.output_elements))
    return max(layer.macs / MACS_S[fmt], moved / MEMORY_BYTES_S)


def seconds(result: NetworkResult) -> dict[str, float]:
    """Return the predicted seconds of every layer."""
    return {one.layer.name: one.timing.total_cycles / one.chip.clock_hz for one in result.layers}


def percent(values: list[float]) -> str:
    """Return the mean of errors [%]."""
    return f"{100 * mean(values):6.1f}" if values else "     -"


def main() -> None:
    """Print the table."""
    print(f"{'network':28}{'format':>7}{'layers':>7}{'roofl.':>7}{'datash':>7}{'calibr':>7}{'median':>7}{'floor':>7}"
          f"{'measured ms':>13}{'predicted':>11}{'error':>8}")  # fmt: skip
    every: dict[tuple[str, str], list[float]] = defaultdict(list)
    by_class: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (name, fmt), times in sorted(measured().items(), key=lambda item: (item[0][1], item[0][0])):
        result = hwsim.simulate(name, on=f"cpu:{MACHINE}", format=fmt)
        plain = hwsim.simulate(name, on=f"cpu:{MACHINE},calibration=none", format=fmt)
        fitted, ideal = seconds(result), seconds(plain)
        errors: dict[str, list[float]] = defaultdict(list)
        for one in result.layers:
            told = times.get(one.layer.name, [])
            if not told or median(told) < LEAST_S:
                continue
            truth = median(told)
            errors["roofline"].append(abs(roofline_s(one.layer, fmt, one.layer.steps) / truth - 1))
            errors["datasheet"].append(abs(ideal[one.layer.name] / truth - 1))
            errors["calibrated"].append(abs(fitted[one.layer.name] / truth - 1))
            by_class[fmt, one.extras["op_class"] or "fused here, not there"].append(errors["calibrated"][-1])
            if len(told) > 1:
                errors["floor"].append(abs(told[0] / told[1] - 1))
        whole, predicted = median(times[""]), result.total["latency_seconds"]
        for case, values in errors.items():
            every[fmt, case] += values
        print(f"{name:28}{fmt:>7}{len(errors['calibrated']):7}{percent(errors['roofline']):>7}"
              f"{percent(errors['datasheet']):>7}{percent(errors['calibrated']):>7}"
              f"{100 * median(errors['calibrated'] or [0]):7.1f}{percent(errors['floor']):>7}"
              f"{1e3 * whole:13.3f}{1e3 * predicted:11.3f}{100 * (predicted / whole - 1):+7.1f}%")  # fmt: skip
    for fmt in ("fp32", "int8"):
        said = ", ".join(f"{case} {percent(every[fmt, case]).strip()}" for case in
                         ("roofline", "datasheet", "calibrated", "floor"))  # fmt: skip
        print(f"{fmt}, all {len(every[fmt, 'calibrated'])} layers: {said}; "
              f"median calibrated {100 * median(every[fmt, 'calibrated']):.1f}")  # fmt: skip
        print("  " + ", ".join(f"{name} {100 * mean(v):.1f} ({len(v)})" for (kind, name), v in by_class.items()
                               if kind == fmt))  # fmt: skip


if __name__ == "__main__":
    main()

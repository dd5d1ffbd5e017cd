"""Published times of GPUs and CPUs beside the chips that stand for them: EIE's Table IV, the TPU paper's Figs 6 and 7.

Run as `python benchmarks/published_machines.py`. Nothing is fitted to EIE's table; blocks and unsplit sums of the K80
were chosen with the TPU paper's roofline in view, so that rates of the K80 are those of a calibration. The TPU paper
runs each application in batches of its own on each machine, which follow from the intensities of its figures, in
multiply-accumulates per byte of weights of four.
"""

from __future__ import annotations

from math import prod

import hwsim
from hwsim import catalog
from hwsim.published import table

PLATFORMS = (("Titan X", "gpu:titan_x", "10 %"), ("Core i7-5930K", "cpu:i7_5930k", "a factor of 1.5"))
"""A platform of EIE's Table IV, the chip that stands for it, and how near it is asked to be."""

APPS = ("MLP0", "MLP1", "LSTM0", "LSTM1", "CNN0", "CNN1")
MACHINES = {"Haswell": "cpu:haswell_e5_2699v3", "K80": "gpu:k80"}
CACHES = {
    "cold": "every operand from memory, the default of this machine",
    "warm": "matrices stay in the last cache that holds them",
}
"""How a Haswell's operands lie: a service between other work, or one that runs again and again."""

WEIGHT_BYTES = 4
OPERATIONS = 2
"""A multiply-accumulate is two of the paper's operations."""


def print_layers(platform: str, chip: str, asked: str) -> None:
    """Print the times of EIE's dense layers at batch 1, measured and predicted."""
    measured = {
        row["layer"]: float(row["latency_us"])
        for row in table("eie_table4")
        if (row["platform"], row["batch"], row["matrix"]) == (platform, "1", "dense")
    }
    rows = {row["layer"]: row for row in hwsim.simulate("eie_layers", on=chip, format="fp32").rows}
    print(f"\nEIE Table IV, {platform}, batch 1, dense, by {chip}; asked for: within {asked}")
    print(f"{'layer':8}{'measured [us]':>15}{'predicted [us]':>16}{'error':>9}{'factor':>8}")
    errors = []
    for layer, told_us in measured.items():
        found_us = rows[layer]["seconds"] * 1e6
        errors.append(found_us / told_us - 1)
        print(f"{layer:8}{told_us:15.1f}{found_us:16.1f}{errors[-1]:+9.1%}{found_us / told_us:8.2f}")
    absolute = [abs(error) for error in errors]
    print(f"mean {sum(absolute) / len(absolute):.1%}, largest {max(absolute):.1%}")


def batch_of(app: str, macs_per_weight_byte: float) -> int:
    """Return the batch at which an application has that intensity."""
    (row,) = (row for row in table("tpu_v1_table1") if row["app"] == app)
    of_one = float(row["macs_per_weight_byte"]) / float(row["batch"])
    return round(WEIGHT_BYTES * macs_per_weight_byte / of_one)


def tera_operations(app: str, chip: str, batch: int) -> float:
    """Return the predicted rate of an application [TOP/s]."""
    total = hwsim.simulate(f"tpu_apps:app={app},batch={batch}", on=chip, format="fp32").total
    return float(OPERATIONS * total["macs"] / total["seconds"] * 1e-12)


def print_applications(caches: str) -> None:
    """Print rates of both machines and of one over the other, as the paper's figures say and as predicted."""
    machines = {**MACHINES, "Haswell": f"{MACHINES['Haswell']},caches={caches}"}
    points = {(row["platform"], row["app"]): row for row in table("tpu_v1_rooflines")}
    print("\nTPU paper, Figs 6 and 7: TOP/s in fp32, published -> predicted, and K80 over Haswell")
    print(f"by {' and '.join(machines.values())}: {CACHES[caches]}")
    heads = ("app", "batch", "Haswell", "batch", "K80", "published", "predicted", "same side of 1")
    print(f"{heads[0]:7}{heads[1]:>6}{heads[2]:>17}{heads[3]:>7}{heads[4]:>17}{heads[5]:>11}{heads[6]:>11}  {heads[7]}")
    published, predicted = [], []
    for app in APPS:
        line, rates = f"{app:7}", []
        for platform, chip in machines.items():
            point = points[platform, app]
            batch = batch_of(app, float(point["macs_per_weight_byte"]))
            rates.append((float(point["tops_read"]), tera_operations(app, chip, batch)))
            line += f"{batch:6} {rates[-1][0]:7.2f} -> {rates[-1][1]:5.2f} "
        published.append(rates[1][0] / rates[0][0])
        predicted.append(rates[1][1] / rates[0][1])
        same = (published[-1] > 1) == (predicted[-1] > 1)
        print(f"{line}{published[-1]:11.2f}{predicted[-1]:11.2f}  {'yes' if same else 'no'}")
    means = [prod(ratios) ** (1 / len(APPS)) for ratios in (published, predicted)]
    print(f"geometric mean{means[0]:52.2f}{means[1]:11.2f}  {'yes' if (means[0] > 1) == (means[1] > 1) else 'no'}")
    for said, ratios in (("published", published), ("predicted", predicted)):
        print(f"order {said}: {' < '.join(app for _, app in sorted(zip(ratios, APPS, strict=True)))}")
    agreed = sum(
        (published[i] < published[j]) == (predicted[i] < predicted[j]) for i in range(len(APPS)) for j in range(i)
    )
    print(f"pairs of applications in the published order: {agreed} of {len(APPS) * (len(APPS) - 1) // 2}")


def main() -> None:
    """Print all of it; without the chip `cpu`, what needs none."""
    has_cpu = "cpu" in catalog.names("chip")
    for platform, chip, asked in PLATFORMS:
        if has_cpu or not chip.startswith("cpu"):
            print_layers(platform, chip, asked)
    if has_cpu:
        for caches in CACHES:
            print_applications(caches)


if __name__ == "__main__":
    main()

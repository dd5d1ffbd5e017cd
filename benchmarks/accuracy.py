"""Trains a small network on scikit-learn's digits and prints its accuracy in every format and joules on every chip.

Run as `python benchmarks/accuracy.py [--csv FILE] [--figure FILE] [--batch N]`. Accuracy is that of the values in the
format (`hwsim.functional`), scales found on training images; it is a matter of the format, not of the chip, all of
which run it the same. Energy is of one inference in batches of N, by each chip with its defaults. Binary and ternary
networks are also trained in their format, because rounding one that was not costs most of what it has learned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import hwsim
from hwsim import Network, catalog
from hwsim.engine.vector import fused_producers
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.functional.agreement import compared
from hwsim.functional.calibration import Choices
from hwsim.precision import chips_running
from hwsim.results.store import rows_text, write_text
from hwsim.units import pj_to_j

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from digits import Digits, digits, network, trained

Row = dict[str, Any]

EPOCHS, EPOCHS_IN_FORMAT, CALIBRATED_ON = 12, 30, 597
AFTER, WITHIN = "rounded after training", "trained in the format"


def accuracy(net: Network, fmt: NumberFormat, data: Digits) -> tuple[float, float]:
    """Return the share of test images that are classified rightly in `fmt`, and the scores' noise beside fp32 [dB]."""
    fused = fused_producers(net)
    unstored = {layer.inputs[0] for layer in net.layers if layer.name in fused}
    seen = [{"image": data.images[:CALIBRATED_ON]}]
    rows, outputs = compared(net, lambda _: fmt, unstored, [{"image": data.test_images}], seen, Choices())
    right = outputs.found[0].argmax(axis=-1) == data.test_classes
    return float(right.mean()), rows[net.layers[-1].name]["sqnr_db"]


def joules(net: Network, fmt: NumberFormat) -> Iterator[tuple[str, float]]:
    """Yield each chip that runs `net` in `fmt` with the energy of one inference [J]; say which cannot, and why."""
    for chip in chips_running(fmt):
        try:
            yield chip, pj_to_j(hwsim.simulate(net, on=chip, format=fmt.name).total["energy_pj"]) / net.batch
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)


def rows_of(data: Digits, batch: int) -> Iterator[Row]:
    """Yield a row for each format, way of training and chip."""
    tested = len(data.test_classes)
    plain = trained(data, EPOCHS)
    for fmt in map(catalog.number_format, catalog.names("format")):
        for training in (AFTER, WITHIN) if fmt.levels else (AFTER,):
            within = training == WITHIN
            tensors = trained(data, EPOCHS_IN_FORMAT, fmt) if within else plain
            found, sqnr_db = accuracy(network(tensors, tested, relu=not within), fmt, data)
            for chip, energy_j in joules(network(tensors, batch, relu=not within), fmt):
                yield {
                    "format": fmt.name,
                    "training": training,
                    "chip": chip,
                    "accuracy": found,
                    "tested_images": tested,
                    "sqnr_db": sqnr_db,
                    "energy_per_inference_j": energy_j,
                    "batch": batch,
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    parser.add_argument("--figure", type=Path, help="file to draw them into")
    parser.add_argument("--batch", type=int, default=1, help="images in one run")
    asked = parser.parse_args()
    data, started = digits(), perf_counter()
    rows = sorted(rows_of(data, asked.batch), key=lambda row: (-row["accuracy"], row["energy_per_inference_j"]))
    print(f"{len(data.classes)} images to learn from, {len(data.test_classes)} others tested; batch {asked.batch}")
    print(f"{'format':10} {'training':23} {'chip':10} {'accuracy':>9} {'SQNR [dB]':>10} {'J/inference':>12}")
    for row in rows:
        print(
            f"{row['format']:10} {row['training']:23} {row['chip']:10} {row['accuracy']:9.2%} {row['sqnr_db']:10.1f} "
            f"{row['energy_per_inference_j']:12.3e}"
        )
    print(f"{perf_counter() - started:.1f} s")
    if asked.csv:
        write_text(asked.csv, rows_text(rows))
    if asked.figure:
        import matplotlib as mpl
        import pandas as pd

        mpl.use("agg")
        catalog.report("accuracy_energy")(pd.DataFrame(rows)).savefig(asked.figure, dpi=150)
    assert np.isinf([row["sqnr_db"] for row in rows if row["format"] == "fp32"]).all()


if __name__ == "__main__":
    main()

"""Measures the search for row-stationary mappings and a stepped pass; the published tables are in `hwsim validate`.

Run as `python benchmarks/row_stationary.py`; compilation is not counted. What it asserts is what was counted, not how
long it took.
"""

from __future__ import annotations

from statistics import median

import numpy as np
from against_scale_sim import timed

from hwsim import catalog
from hwsim.engine import row_stationary as engine
from hwsim.formats.fixed16 import fixed16
from hwsim.ir import Layer
from hwsim.mapping import row_stationary_search as kernel
from hwsim.mapping.row_stationary import Parameters
from hwsim.mapping.row_stationary_geometry import strips_of
from hwsim.mapping.row_stationary_place import batch_shares, kernel_facts, machine_of, place, prices_of, shares

REPEATS = 9
NETWORKS = ("alexnet:batch=4", "vgg:batch=3", "resnet:depth=50,batch=4", "mobilenet:batch=4")


def print_searches(network: str) -> None:
    """Print how fast the mappings of a network's different products are found."""
    chip = catalog.chip("eyeriss")
    machine, prices = machine_of(chip, fixed16), prices_of(chip, fixed16)
    rates, milliseconds, judged = [], [], 0
    layers = {place(layer, chip, fixed16, ""): layer for layer in catalog.network(network).layers if layer.is_mac}
    for mapping, layer in layers.items():
        facts, out = kernel_facts(mapping.geometry, machine, prices, 1.0), np.zeros(7, np.int64)
        strips = np.array([(e, *strips_of(mapping.geometry, e)[1:]) for e in shares(layer.P)], np.int64)
        images, counts = np.array(batch_shares(layer.N), np.int64), []
        seconds = median(
            timed(lambda: counts.append(kernel.search(*facts, strips, images, 0, out)))  # noqa: B023
            for _ in range(REPEATS)
        )
        assert Parameters(*map(int, out)) == mapping.parameters, "the same search finds something else"
        rates.append(counts[0][0] / seconds)
        milliseconds.append(1e3 * seconds)
        judged += counts[0][0]
    print(
        f"search  {network:26}{len(layers):4} layers, {judged:12,} mappings, {max(milliseconds):6.1f} ms at most, "
        f"{min(rates) / 1e6:5.0f} to {max(rates) / 1e6:.0f} M/s",
        flush=True,
    )


def print_stepped(layer: Layer) -> None:
    """Print how fast a layer steps, once its closed form is known to be the same."""
    chip = catalog.chip("eyeriss:mapping=published,zeros=given")
    mapping = place(layer, chip, fixed16, "row_stationary")
    outcomes = [engine.stepped(mapping, chip, fixed16)]
    seconds = median(timed(lambda: outcomes.append(engine.stepped(mapping, chip, fixed16))) for _ in range(3))
    assert all(one == engine.closed(mapping, chip, fixed16) for one in outcomes), "the two fidelities differ"
    print(
        f"stepped {layer.name:26}{seconds:8.2f} s, {layer.macs / seconds / 1e6:6.0f} M multiply-accumulates/s",
        flush=True,
    )


def main() -> None:
    """Print searches and stepped layers."""
    for network in NETWORKS:
        print_searches(network)
    for layer in catalog.network("alexnet:batch=4").layers:
        if layer.kind == "conv":
            print_stepped(layer)


if __name__ == "__main__":
    main()

"""Prints how DaDianNao's layers grow faster with nodes, beside what is published, in inference and in training.

Run as `python benchmarks/dadiannao.py`. Published are speed-ups over one GPU, whose times are not; their ratios need
none. Training of some layers does not fit one node of 36 MiB in 32 bits, though Figure 12 shows them on one: it is
simulated with more eDRAM per tile, which takes no time. CONV1 grows from the four nodes that hold it; its published
growth there is read from the bars of Figure 10. It asserts what was counted, not how long it took.
"""

from __future__ import annotations

import time
from statistics import geometric_mean

import hwsim
from hwsim import NetworkResult, catalog
from hwsim.chips.dadiannao import full_activity
from hwsim.engine import nodes_events
from hwsim.engine.nodes import stages_of
from hwsim.formats.fixed16 import fixed16
from hwsim.ir.training import training
from hwsim.mapping.placed import Placed
from hwsim.published import table

LAYERS = ("CLASS1", "CLASS2", "CONV2", "POOL1", "POOL2", "LRN1", "LRN2")
"""Those that Figures 10 and 12 have on 1 and on 64 nodes, pre-training left out."""

CONV1_GROWTH = 15.65


def published(metric: str, layer: str, nodes: int) -> float:
    """Return a value of Figures 10 to 14: as printed in the text, else as read from the bars."""
    (row,) = (
        row
        for row in table("dadiannao_figures")
        if (row["metric"], row["layer"], row["nodes"]) == (metric, layer, str(nodes))
    )
    return float(row["printed"] or row["digitised"])


def inference(layer: str, nodes: int) -> NetworkResult:
    """Return the forward pass of a layer."""
    return hwsim.simulate(f"dadiannao_layers:layer={layer}", on=f"dadiannao:nodes={nodes}")


def one_step(layer: str, nodes: int) -> NetworkResult:
    """Return a step of training of a layer in 32 bits, the gradient by its inputs included."""
    network = training(catalog.network(f"dadiannao_layers:layer={layer}"), of_inputs=True)
    return hwsim.simulate(network, on=f"dadiannao:nodes={nodes},tile_edram_mib=16", format="fixed32")


def print_growth() -> None:
    """Print the growth of every layer from 1 to 64 nodes, and that of energy."""
    for what, run in (("inference", inference), ("training", one_step)):
        heads = f"{'1 node':>12}{'64 nodes':>11}{'growth':>9}{'published':>11}{'error':>9}{'energy':>9}{'publ.':>8}"
        print(f"{what:10}{heads}")
        ours, theirs = [], []
        for layer in LAYERS:
            few, many = run(layer, 1).total, run(layer, 64).total
            ours.append(few["total_cycles"] / many["total_cycles"])
            theirs.append(published(f"speedup_{what}", layer, 64) / published(f"speedup_{what}", layer, 1))
            energy = many["energy_pj"] / few["energy_pj"]
            known = published(f"energy_reduction_{what}", layer, 1) / published(f"energy_reduction_{what}", layer, 64)
            print(
                f"{layer:10}{few['total_cycles']:12,}{many['total_cycles']:11,}{ours[-1]:9.2f}{theirs[-1]:11.2f}"
                f"{100 * (ours[-1] / theirs[-1] - 1):+8.1f}%{energy:9.2f}{known:8.2f}"
            )
        means = geometric_mean(ours), geometric_mean(theirs)
        print(f"{'geomean':10}{'':23}{means[0]:9.2f}{means[1]:11.2f}{100 * (means[0] / means[1] - 1):+8.1f}%\n")
    growth = inference("CONV1", 4).total["total_cycles"] / inference("CONV1", 64).total["total_cycles"]
    print(f"CONV1 from 4 to 64 nodes: {growth:.2f}, published {CONV1_GROWTH}")


def print_speed() -> None:
    """Print how long 64 nodes take as processes, with the messages and events of it."""
    network, chip = catalog.network("dadiannao_layers:layer=fullNN"), catalog.chip("dadiannao:nodes=64")
    place, messages, events = catalog.dataflow(chip.dataflow), 0, 0
    started = time.perf_counter()
    for layer in network.layers:
        if layer.operations or layer.is_mac:
            mapping = place(layer, chip, fixed16) if layer.is_mac else None
            log = nodes_events.run(stages_of(Placed(layer, mapping, fixed16), chip), chip.options["nodes"])
            messages, events = messages + log.messages, events + log.events
    elapsed = time.perf_counter() - started
    assert events <= 10 * messages + 1000 * len(network.layers), "more events than a few per message"
    print(f"full network on 64 nodes: {elapsed:.2f} s, {messages:,} messages, {events:,} events")


def print_power() -> None:
    """Print peak rates and the power of a node when all of it is at work."""
    chip = catalog.chip("dadiannao")
    spent = sum(
        count * chip.energy.by_action[component, action].word_pj(fixed16.bits)
        for (component, action, _), count in full_activity(fixed16).items()
    )
    print(f"peak {chip.options['peak_tops']} TOPS, {spent * chip.clock_hz * 1e-12:.2f} W at full activity (15.97 W)")


if __name__ == "__main__":
    print_growth()
    print_power()
    print_speed()

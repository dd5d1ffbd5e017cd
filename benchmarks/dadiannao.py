"""Prints the speed of DaDianNao's simulation and the power of a node; its growth with nodes is in `hwsim validate`.

Run as `python benchmarks/dadiannao.py`. It asserts what was counted, not how long it took.
"""

from __future__ import annotations

import time

from hwsim import catalog
from hwsim.chips.dadiannao import full_activity
from hwsim.engine import nodes_events
from hwsim.engine.nodes import stages_of
from hwsim.formats.fixed16 import fixed16
from hwsim.mapping.placed import Placed


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
    print_power()
    print_speed()

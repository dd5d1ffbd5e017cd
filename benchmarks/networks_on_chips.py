"""Runs every family of networks on every chip in closed form, and writes the table of docs/networks_on_chips.md.

Run as `python benchmarks/networks_on_chips.py [FILE]`; without FILE the table is printed. It asserts that a chip which
refuses a network names the layer.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import hwsim
from hwsim import Network, catalog
from hwsim.errors import InputError
from hwsim.results.terminal import quantity

HEAD = """# Every network on every chip

Time of one inference (one step of decoding, one set of layers) with each family's and each chip's defaults, in the
chip's first format: an int8 array beside a CPU shows what each is built for, not which is better. Where a chip cannot
run a network, the layer at which it cannot; the reasons stand below. Written by `benchmarks/networks_on_chips.py`.
"""


def main() -> None:
    """Write or print the table and how long it took."""
    started = time.perf_counter()
    chips, refused = catalog.names("chip"), dict[str, list[str]]()
    lines = ["| network | " + " | ".join(chips) + " |", "|---" * (len(chips) + 1) + "|"]
    for name in catalog.names("network"):
        network = catalog.network(name)
        lines.append(f"| {network.name} | " + " | ".join(cell(network, chip, refused) for chip in chips) + " |")
    reasons = [f"- {reason} ({', '.join(names)})" for reason, names in sorted(refused.items())]
    text = "\n".join([HEAD, *lines, "", "## Why not", "", *reasons, ""])
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        print(text)
    runs = len(chips) * len(lines[2:])
    print(f"{runs} runs in {time.perf_counter() - started:.1f} s", file=sys.stderr)


def cell(network: Network, chip: str, refused: dict[str, list[str]]) -> str:
    """Return the time of `network` on `chip`, or the layer that it cannot run; the reason is added to `refused`."""
    try:
        return quantity(hwsim.simulate(network, on=chip).total["seconds"], "s")
    except InputError as error:
        (layer, *_) = [one.name for one in network.layers if f"'{one.name}'" in str(error)]
        refused.setdefault(str(error), []).append(network.name)
        return f"no: `{layer}`"


if __name__ == "__main__":
    main()

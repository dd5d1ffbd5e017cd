"""The table that `hwsim run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwsim.errors import printable
from hwsim.results.like import SRAM_ACCESSES
from hwsim.results.record import LayerResult, NetworkResult, Row

PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)


COLUMN_UNITS = {"_fraction": "%", "_agreement": "%", "_bytes": "B", "_db": "dB", "_w": "W"}
"""Endings of columns, and how their unit is written."""

SHOWN = {"sqnr_db": "SQNR", "saturated_fraction": "saturated"}
"""Columns of layers beyond what every chip has that the table shows, and how they are called there."""


def quantity(value: float, unit: str = "") -> str:
    """Return `value` with three digits and an SI prefix: 724406816 is "724 M"."""
    if value == 0:
        return f"0 {unit}".strip()
    scale, prefix = next(((s, p) for s, p in PREFIXES if abs(value) >= s * 0.9995), PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{unit}".strip()


def layer_table(result: NetworkResult) -> RenderableType:
    """Return the layers with cycles, utilisation, off-chip bytes and energy, then totals and notes."""
    table = Table(box=SIMPLE_HEAD, title=title(result), title_justify="left", title_style="bold", pad_edge=False)
    for name in ("layer", "kind", "output"):
        table.add_column(name, overflow="fold")
    beyond = [name for name in SHOWN if any(name in layer.extras for layer in result.layers)]
    titles = (SHOWN[name] for name in beyond)
    for name in ("MACs", "cycles", "stall", "utilised", off_chip_name(result), "energy", *titles):
        table.add_column(name, justify="right", no_wrap=True)
    shown = [layer for layer in result.layers if layer.timing.total_cycles]
    for layer in shown:
        table.add_row(*cells(layer), *(_cell(layer, name) for name in beyond))
    table.add_section()
    total, hidden = result.total, len(result.layers) - len(shown)
    stall = sum(layer.timing.stall_cycles for layer in shown) / max(1, total["total_cycles"])
    table.add_row(
        "total",
        "",
        "",
        quantity(total["macs"]),
        f"{total['total_cycles']:,}",
        f"{stall:.0%}",
        f"{total['utilisation']:.1%}",
        quantity(sum(off_chip_bytes(layer) for layer in shown), "B"),
        quantity(total["energy_pj"] * 1e-12, "J"),
        style="bold",
    )
    notes = [
        *result.notes,
        *([f"{hidden} layers that take no cycles are not shown; --json and --csv list them"] if hidden else []),
    ]
    return Group(
        table,
        Text(summary(result)),
        *extras(result),
        *(Text(printable(f"note: {note}"), style="dim") for note in notes),
    )


def title(result: NetworkResult) -> str:
    """Return what ran on what."""
    chip = result.chip
    machine = f"{chip.name} {chip.parameters['machine']}" if "machine" in chip.parameters else chip.name
    array = f"{chip.array}, {chip.clock_hz / 1e6:g} MHz"
    dataflow, formats = result.dataflow.replace("_", " "), result.inputs["format"]
    return printable(
        f"{result.network.name} on {machine} ({array}), {dataflow}, {formats}, "
        f"batch {result.network.batch}" + (", stepped" if result.fidelity == "stepped" else "")
    )


def cells(layer: LayerResult) -> tuple[str, ...]:
    """Return one row of the table."""
    timing = layer.timing
    return (
        printable(layer.layer.name),
        printable(layer.layer.function or str(layer.layer.kind)),
        "x".join(map(str, layer.layer.output_shape)),
        quantity(layer.layer.macs) if layer.layer.macs else "",
        f"{timing.total_cycles:,}",
        f"{timing.stall_cycles / timing.total_cycles:.0%}",
        f"{layer.utilisation:.1%}" if layer.layer.macs else "",
        quantity(off_chip_bytes(layer), "B"),
        quantity(layer.total_energy_pj * 1e-12, "J"),
    )


def _cell(layer: LayerResult, column: str) -> str:
    """Return what a row shows of a column beyond what every chip has; nothing where the layer lacks it."""
    return measured(column, layer.extras[column]) if column in layer.extras else ""


def off_chip_name(result: NetworkResult) -> str:
    """Return how the outermost memory is called."""
    name = result.chip.off_chip.name
    return "DRAM" if name == "dram" else name.replace("_", " ")


def off_chip_bytes(layer: LayerResult) -> int:
    """Return the bytes a layer reads from and writes to the outermost memory."""
    name = layer.chip.off_chip.name
    return layer.moved_bytes(name, "read") + layer.moved_bytes(name, "write")


def summary(result: NetworkResult) -> str:
    """Return latency, energy, power and throughput in one line."""
    total, batch = result.total, result.network.batch
    per_run = "inference" if batch == 1 else f"batch of {batch}"
    return (
        f"{quantity(total['seconds'], 's')} and {quantity(total['energy_pj'] * 1e-12, 'J')} per {per_run}; "
        f"{quantity(total['average_power_w'], 'W')}, {quantity(total['inferences_per_s'])} inferences/s, "
        f"{quantity(total['inferences_per_j'])} inferences/J; {quantity(total['parameters'])} parameters"
    )


def extras(result: NetworkResult) -> list[Text]:
    """Return what the engine finds for the whole network, beyond what every chip has, in a line; none if nothing."""
    parts = [f"{_named(name)} {measured(name, value)}" for name, value in result.extras.items()]
    return [Text("; ".join(parts))] if parts else []


def _named(column: str) -> str:
    """Return the words of a column's name, without its unit."""
    unit = next((unit for unit in COLUMN_UNITS if column.endswith(unit) and unit != "_agreement"), "")
    return column.removesuffix(unit).replace("seconds", "time").replace("sqnr", "SQNR").replace("_", " ")


def measured(column: str, value: float) -> str:
    """Return a value with the unit in its column's name."""
    if column.endswith(("_fraction", "_agreement")):
        return f"{value:.1%}"
    if column.endswith("_db"):
        return f"{value:.1f} dB" if isfinite(value) else "exact" if value > 0 else "none"
    if "tops" in column.split("_"):
        return f"{value:.3g}"
    units = (shown for unit, shown in COLUMN_UNITS.items() if column.endswith(unit))
    return quantity(value, "s" if column.startswith("seconds") else next(units, ""))


def scale_sim_table(result: NetworkResult) -> RenderableType:
    """Return our figures beside SCALE-Sim 3's, with the reason for each difference."""
    table = Table(box=SIMPLE_HEAD, title="beside SCALE-Sim 3", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("layer", overflow="fold")
    for name in (
        "cycles",
        "SCALE-Sim",
        "ifmap reads",
        "SCALE-Sim",
        "filter reads",
        "SCALE-Sim",
        "ofmap writes",
        "SCALE-Sim",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    reasons: list[Text] = []
    for row in (layer.row() for layer in result.layers if "scale_sim_cycles" in layer.extras):
        pairs = (
            ("total_cycles", "scale_sim_cycles"),
            *((f"sram_{what}", f"scale_sim_{what}") for what in SRAM_ACCESSES),
        )
        table.add_row(printable(row["layer"]), *(f"{row[name]:,}" for pair in pairs for name in pair))
        reasons += [
            Text(printable(f"{row['layer']}: {reason}"), style="dim")
            for reason in row["scale_sim_differences"].split(" | ")
        ]
    return Group(table, *reasons)


def source_table(results: Sequence[NetworkResult]) -> RenderableType:
    """Return where every number of the results comes from, assumptions last."""
    table = Table(box=SIMPLE_HEAD, title="sources", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    rows = {tuple(row.items()): row for result in results for row in result.sources}
    for row in sorted(rows.values(), key=lambda row: row["source"].startswith("assumed")):
        table.add_row(printable(row["what"]), _sourced(row), printable(row["source"]))
    return table


def _sourced(row: Row) -> str:
    """Return the number that a row of sources is of, where it has one."""
    if "area_mm2" in row:
        return f"{row['area_mm2']:.4g} mm2"
    per = f"/{row['bits']} b" if row.get("bits") else ""
    return f"{row['energy_pj']:.4g} pJ{per}" if "energy_pj" in row else ""


def totals_table(results: Sequence[NetworkResult]) -> RenderableType:
    """Return the totals of several results, a line each."""
    table = Table(box=SIMPLE_HEAD, title="all of them", title_justify="left", title_style="bold", pad_edge=False)
    for name in ("network", "chip", "format"):
        table.add_column(name, overflow="fold")
    for name in ("latency", "energy", "power", "inferences/s", "inferences/J", "utilised", "area"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        total, area_mm2 = result.total, result.chip.area_mm2(result.fmt)
        table.add_row(
            printable(result.network.name),
            printable(result.chip.label or result.chip.name),
            result.inputs["format"],
            quantity(total["seconds"], "s"),
            quantity(total["energy_pj"] * 1e-12, "J"),
            quantity(total["average_power_w"], "W"),
            quantity(total["inferences_per_s"]),
            quantity(total["inferences_per_j"]),
            f"{total['utilisation']:.1%}",
            "" if area_mm2 is None else f"{area_mm2:.3g} mm2",
        )
    return table


def print_result(result: NetworkResult) -> None:
    """Print the table of a result to standard output, and its comparison with SCALE-Sim if it has one."""
    console().print(layer_table(result))
    if any("scale_sim_cycles" in layer.extras for layer in result.layers):
        console().print(scale_sim_table(result))


def console(stderr: bool = False) -> Console:
    """Return a console; piped output is 120 columns wide, and names from files are never read as markup."""
    found = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=120)

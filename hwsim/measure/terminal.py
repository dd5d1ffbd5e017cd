"""The tables that `hwsim measure` prints, and `hwsim compare` of a measurement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from hwsim.errors import counted, printable
from hwsim.measure.predict import CASES, Accuracy, Predicted
from hwsim.measure.record import Measurement
from hwsim.results.terminal import console, quantity


def print_measurement(found: Measurement) -> None:
    """Print the layers that take time, the whole, and what a reader must know."""
    screen = console()
    screen.print(layer_table(found))
    screen.print(Text(summary(found)))
    _print_notes((*_hidden(found), *found.notes))


def layer_table(found: Measurement) -> Table:
    """Return the layers with their seconds, share of the time, spread and rate."""
    table = Table(box=SIMPLE_HEAD, title=title(found), title_justify="left", title_style="bold", pad_edge=False)
    for name in ("layer", "kind", "output"):
        table.add_column(name, overflow="fold")
    for name in ("MACs", "time", "share", "spread", "MAC/s"):
        table.add_column(name, justify="right", no_wrap=True)
    all_s = found.total["seconds"]
    for layer, row in zip(found.network.layers, found.rows, strict=True):
        seconds = row["seconds"]
        if not seconds:
            continue
        table.add_row(
            printable(layer.name),
            printable(layer.function or str(layer.kind)),
            "x".join(map(str, layer.output_shape)),
            quantity(layer.macs) if layer.macs else "",
            quantity(seconds, "s"),
            f"{seconds / all_s:.1%}",
            f"{row['spread_fraction']:.0%}" + (" noisy" if row["noisy"] else ""),
            quantity(layer.macs / seconds) if layer.macs else "",
        )
    table.add_section()
    whole = found.whole
    macs = quantity(found.network.macs), quantity(found.network.macs / whole.median_s)
    spread = f"{whole.spread:.0%}" + (" noisy" if whole.noisy else "")
    table.add_row("whole", "", "", macs[0], quantity(whole.median_s, "s"), "", spread, macs[1], style="bold")
    return table


def title(found: Measurement) -> str:
    """Return what ran on what, and by what."""
    where = found.machine.model if found.device == "cpu" else found.chip
    threads = f", {counted(found.threads, 'thread')}" if found.device == "cpu" else ""
    return printable(
        f"{found.network.name} on {where}{threads}, {found.backend}, {found.fmt.name}, batch {found.network.batch}, "
        f"measured{' cold' if found.cold else ''}"
    )


def summary(found: Measurement) -> str:
    """Return latency, throughput and, where it is known, power in one line."""
    whole, total, batch = found.whole, found.total, found.network.batch
    per_run = "inference" if batch == 1 else f"batch of {batch}"
    power = f", {quantity(total['average_power_w'], 'W')}" if found.energy_j else ""
    return (
        f"{quantity(whole.median_s, 's')} per {per_run}, median of {len(whole.seconds)} runs "
        f"({quantity(whole.p10_s, 's')} to {quantity(whole.p90_s, 's')} from the 10th to the 90th percentile); "
        f"{quantity(total['inferences_per_s'])} inferences/s{power}; machine {found.machine.fingerprint}"
    )


def print_predictions(where: str, rows: Sequence[Predicted], found: Iterable[Accuracy], notes: Iterable[str]) -> None:
    """Print each layer measured and predicted, then the errors of every case."""
    screen = console()
    screen.print(prediction_table(where, rows))
    screen.print(accuracy_table(found))
    _print_notes(notes)


def prediction_table(where: str, rows: Sequence[Predicted]) -> Table:
    """Return the layers with measured seconds, and each case's with its error."""
    table = Table(box=SIMPLE_HEAD, title=printable(where), title_justify="left", title_style="bold", pad_edge=False)
    for name in ("layer", "operator"):
        table.add_column(name, overflow="fold")
    cases = {case: column for case, column in CASES.items() if getattr(rows[0], column) is not None}
    for name in ("measured", *(case.replace(" on other shapes", "") for case in cases)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        told = [
            f"{quantity(getattr(row, column), 's')} {row.error_percent(column):+6.0f} %" for column in cases.values()
        ]
        fitted = "fitted on" if row.fitted_on else ""
        table.add_row(printable(row.layer), row.operator, quantity(row.measured_seconds, "s"), *told, fitted)
    return table


def accuracy_table(found: Iterable[Accuracy]) -> Table:
    """Return the errors of every case."""
    table = Table(box=SIMPLE_HEAD, title="absolute error", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("")
    for name in ("mean", "median", "worst", "layers", "sum of all layers"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        told = (f"{value:.1f} %" for value in (one.mean_percent, one.median_percent, one.worst_percent))
        table.add_row(one.case, *told, str(one.layers), f"{one.sum_percent:+.1f} %")
    return table


def _hidden(found: Measurement) -> tuple[str, ...]:
    count = sum(1 for row in found.rows if not row["seconds"])
    said = counted(count, "layer without a time of its own is", "layers without a time of their own are")
    return (f"{said} not shown; --json and --csv list all",) * bool(count)


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        console().print(Text(printable(f"note: {note}"), style="dim"))

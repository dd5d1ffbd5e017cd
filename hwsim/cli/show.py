"""`hwsim show`: a network layer by layer, before it runs on anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hwsim import catalog
from hwsim.cli.options import BOTH
from hwsim.errors import UsageError, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hwsim.formats import NumberFormat
    from hwsim.ir.layer import Layer, Shape
    from hwsim.ir.network import Network

Row = dict[str, Any]

FORMAT = "fp32"
"""The format that sizes in bytes are given in."""


@click.command()
@click.argument("network")
@click.option("--format", "fmt", default=FORMAT, show_default=True, help="Number format that sizes in bytes are in.")
@click.option("--json", "as_json", is_flag=True, help="Print layers and totals as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the layers as CSV.")
def show(network: str, fmt: str, as_json: bool, as_csv: bool) -> None:
    """Show the layers of NETWORK (a name, or a file that `hwsim run` reads): shapes, parameters, MACs, memory."""
    if as_json and as_csv:
        raise UsageError(BOTH)
    net, number_format = catalog.network(network), catalog.number_format(fmt)
    rows = [layer_row(layer) for layer in net.layers]
    if as_csv:
        from hwsim.results.store import rows_text

        click.echo(rows_text(rows), nl=False)
    elif as_json:
        import json

        click.echo(json.dumps({**totals(net, number_format), "layers": rows}, indent=1))
    else:
        from hwsim.results import terminal

        terminal.console().print(_table(net, rows, number_format))


def layer_row(layer: Layer) -> Row:
    """Return what a layer is: counts are of all its steps, shapes of one."""
    return {
        "layer": layer.name,
        "kind": str(layer.kind),
        "function": layer.function,
        "inputs": list(layer.inputs),
        "input_shape": " + ".join(map(_extent, layer.input_shapes)),
        "output_shape": _extent(layer.output_shape),
        "steps": layer.steps,
        "parameters": layer.parameters,
        "macs": layer.macs,
    }


def totals(network: Network, fmt: NumberFormat) -> Row:
    """Return what a network is altogether: counts, bytes in a format, and multiply-accumulates per byte moved."""
    return {
        "network": network.name,
        "format": fmt.name,
        "batch": network.batch,
        "parameters": network.parameters,
        "macs": network.macs,
        "layers": len(network.layers),
        "parameter_bytes": -(-network.parameters * fmt.operand_bits("weight") // 8),
        "peak_activation_bytes": -(-network.peak_activation_elements * fmt.bits // 8),
        "activation_bytes": network.activation_bytes(fmt.bits),
        "macs_per_byte": network.arithmetic_intensity(fmt.bits, fmt.operand_bits("weight")),
        "source": network.source,
        "notes": list(network.notes),
    }


def _extent(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "1"


def _table(network: Network, rows: list[Row], fmt: NumberFormat) -> RenderableType:
    """Return the layers, their totals, and what else is known of the network."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    title = printable(f"{network.name}, batch {network.batch}")
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in ("layer", "kind", "input", "output"):
        table.add_column(name, overflow="fold")
    for name in ("parameters", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row("total", f"{len(rows)} layers", "", "", f"{network.parameters:,}", f"{network.macs:,}", style="bold")
    lines = [Text(printable(line)) for line in _summary(totals(network, fmt))]
    return Group(table, *lines, *(Text(printable(f"note: {note}"), style="dim") for note in network.notes))


def _cells(row: Row) -> tuple[str, ...]:
    words = dict.fromkeys(filter(None, (row["kind"], row["function"], f"x{row['steps']}" if row["steps"] > 1 else "")))
    return (
        printable(row["layer"]),
        printable(" ".join(words)),
        row["input_shape"],
        row["output_shape"],
        f"{row['parameters']:,}" if row["parameters"] else "",
        f"{row['macs']:,}" if row["macs"] else "",
    )


def _summary(total: Row) -> list[str]:
    from hwsim.results.terminal import quantity

    parameters, peak, whole = (
        quantity(total[key], "B") for key in ("parameter_bytes", "peak_activation_bytes", "activation_bytes")
    )
    return [
        f"in {total['format']}: parameters {parameters}, activations {peak} at once, {whole} altogether; "
        f"{total['macs_per_byte']:.3g} MACs per byte, operands of each layer moved once",
        *([f"source: {total['source']}"] if total["source"] else []),
    ]

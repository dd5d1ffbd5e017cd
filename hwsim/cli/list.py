"""`hwsim list`: what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hwsim import catalog
from hwsim.cli.options import BOTH
from hwsim.errors import UsageError, near_match, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hwsim.cli.show import Row

NETWORKS, FORMATS = "networks", "formats"

NODE_NM = 45.0
"""The node of the energies of the long list of formats, that of the table they are from."""


@click.command("list")
@click.argument("noun", default="all")
@click.option("--long", is_flag=True, help="Networks with sizes and source; formats with ranges, energies and chips.")
@click.option("--format", "fmt", help="Number format that sizes in bytes are in, with --long.  [default: fp32]")
@click.option("--json", "as_json", is_flag=True, help="Print the long list as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the long list as CSV.")
def list_(noun: str, long: bool, fmt: str | None, as_json: bool, as_csv: bool) -> None:
    """List NOUN: networks, chips, dataflows, formats, reports, or all of them."""
    nouns = {f"{name}s": name for name in catalog.FOLDERS}
    if noun != "all" and noun not in nouns:
        raise UsageError(f"no list of '{noun}'{near_match(noun, nouns)}")
    if as_json and as_csv:
        raise UsageError(BOTH)
    if long or as_json or as_csv or fmt is not None:
        _require_long(noun, long, fmt)
        rows, table = (_format_rows(), _format_table) if noun == FORMATS else (_long_rows(fmt), _table)
        _print_long(rows, table, as_json, as_csv)
        return
    for title in nouns if noun == "all" else [noun]:
        if noun == "all":
            click.echo(f"{title}:")
        for name in catalog.names(nouns[title]):
            click.echo(f"  {name:<18} {catalog.describe(nouns[title], name)}")
            keys = catalog.parameters(nouns[title], name)
            if keys:
                click.echo(click.wrap_text(" ".join(keys), 110, f"  {'':<18} ", f"  {'':<18} "))


def _require_long(noun: str, long: bool, fmt: str | None) -> None:
    """Raise `UsageError` for a long list of anything else, or for its options without it."""
    if not long:
        raise UsageError("--format, --json and --csv are of the long list; add --long")
    if noun not in (NETWORKS, FORMATS):
        raise UsageError(f"--long is for networks and formats; there is no long list of '{noun}'")
    if noun == FORMATS and fmt is not None:
        raise UsageError("--format is what sizes of networks are in; formats have none")


def _long_rows(fmt: str | None) -> list[Row]:
    """Return a row for each network, as it is with the defaults of its parameters."""
    from hwsim.cli.show import FORMAT, totals

    number_format = catalog.number_format(fmt or FORMAT)
    rows = []
    for name in catalog.names("network"):
        row = totals(catalog.network(name), number_format)
        rows.append({"name": name, **{key: value for key, value in row.items() if key != "notes"}})
    return rows


def _format_rows() -> list[Row]:
    """Return a row for each format: widths, range, the energy of a multiply-accumulate, the rate of every chip."""
    from hwsim.arch.reference_energy import mac_entry
    from hwsim.precision import chips_running

    rows = []
    for fmt in map(catalog.number_format, catalog.names("format")):
        mac = mac_entry(fmt, NODE_NM)
        rows.append(
            {
                "name": fmt.name,
                "kind": fmt.kind,
                "bits": fmt.bits,
                "weight_bits": fmt.operand_bits("weight"),
                "accumulator_bits": fmt.accumulator_bits,
                "lowest": fmt.lowest,
                "largest": fmt.largest,
                "smallest_normal": fmt.smallest_normal,
                "mac_energy_pj": mac.energy_pj,
                "mac_node_nm": NODE_NM,
                "chips_macs_per_cycle": chips_running(fmt),
                "mac_source": str(mac.source),
            }
        )
    return rows


def _listed(value: object) -> object:
    """Return what CSV has of a mapping: "name=value" separated by spaces."""
    return " ".join(f"{name}={one:g}" for name, one in value.items()) if isinstance(value, dict) else value


def _print_long(rows: list[Row], table: Callable[[list[Row]], RenderableType], as_json: bool, as_csv: bool) -> None:
    if as_csv:
        from hwsim.results.store import rows_text

        click.echo(rows_text([{key: _listed(value) for key, value in row.items()} for row in rows]), nl=False)
    elif as_json:
        import json

        click.echo(json.dumps(rows, indent=1))
    else:
        from hwsim.results import terminal

        terminal.console().print(table(rows))


def _format_table(rows: list[Row]) -> RenderableType:
    """Return the long list of formats, with what is assumed of their energies marked."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("format", no_wrap=True)
    for name in ("bits", "weights", "sums", "from", "to", f"pJ/MAC, {NODE_NM:g} nm"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("chips, with MACs per cycle", overflow="fold")
    for row in rows:
        assumed = "~" if row["mac_source"].startswith("assumed") else ""
        table.add_row(
            printable(row["name"]),
            *(str(row[name]) for name in ("bits", "weight_bits", "accumulator_bits")),
            *(f"{row[name]:.4g}" for name in ("lowest", "largest")),
            f"{assumed}{row['mac_energy_pj']:.3g}",
            printable(", ".join(f"{chip} {rate:,.0f}" for chip, rate in row["chips_macs_per_cycle"].items())),
        )
    said = "~ interpolated or assumed; --json and --csv say from what. Chips have energies of their own, at their node."
    return Group(table, said)


def _table(rows: list[Row]) -> RenderableType:
    """Return the long list, sizes in the format of its rows."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from hwsim.results.terminal import quantity

    fmt = rows[0]["format"] if rows else ""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("network", no_wrap=True)
    for name in ("parameters", "MACs", "layers", f"peak, {fmt}", "MACs/B"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    for row in rows:
        table.add_row(
            printable(row["name"]),
            f"{row['parameters']:,}",
            quantity(row["macs"]),
            f"{row['layers']:,}",
            quantity(row["peak_activation_bytes"], "B"),
            f"{row['macs_per_byte']:.3g}",
            printable(row["source"]),
        )
    return table

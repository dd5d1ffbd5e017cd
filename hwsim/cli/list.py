"""`hwsim list`: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hwsim import catalog
from hwsim.cli.options import BOTH
from hwsim.errors import UsageError, near_match, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hwsim.cli.show import Row

NETWORKS = "networks"


@click.command("list")
@click.argument("noun", default="all")
@click.option("--long", is_flag=True, help="Networks with parameters, MACs, layers, activations at once and source.")
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
        _require_networks(noun, long)
        _print_long(_long_rows(fmt), as_json, as_csv)
        return
    for title in nouns if noun == "all" else [noun]:
        if noun == "all":
            click.echo(f"{title}:")
        for name in catalog.names(nouns[title]):
            click.echo(f"  {name:<18} {catalog.describe(nouns[title], name)}")
            keys = catalog.parameters(nouns[title], name)
            if keys:
                click.echo(click.wrap_text(" ".join(keys), 110, f"  {'':<18} ", f"  {'':<18} "))


def _require_networks(noun: str, long: bool) -> None:
    """Raise `UsageError` for a long list of anything else, or for its options without it."""
    if not long:
        raise UsageError("--format, --json and --csv are of the long list; add --long")
    if noun != NETWORKS:
        raise UsageError(f"--long is for networks; there is no long list of '{noun}'")


def _long_rows(fmt: str | None) -> list[Row]:
    """Return a row for each network, as it is with the defaults of its parameters."""
    from hwsim.cli.show import FORMAT, totals

    number_format = catalog.number_format(fmt or FORMAT)
    rows = []
    for name in catalog.names("network"):
        row = totals(catalog.network(name), number_format)
        rows.append({"name": name, **{key: value for key, value in row.items() if key != "notes"}})
    return rows


def _print_long(rows: list[Row], as_json: bool, as_csv: bool) -> None:
    if as_csv:
        from hwsim.results.store import rows_text

        click.echo(rows_text(rows), nl=False)
    elif as_json:
        import json

        click.echo(json.dumps(rows, indent=1))
    else:
        from hwsim.results import terminal

        terminal.console().print(_table(rows))


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

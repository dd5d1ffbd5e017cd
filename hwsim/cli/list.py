"""`hwsim list`: what there is."""

from __future__ import annotations

import click

from hwsim import catalog
from hwsim.errors import UsageError, near_match


@click.command("list")
@click.argument("noun", default="all")
def list_(noun: str) -> None:
    """List NOUN: networks, chips, dataflows, formats, reports, or all of them."""
    nouns = {f"{name}s": name for name in catalog.FOLDERS}
    if noun != "all" and noun not in nouns:
        raise UsageError(f"no list of '{noun}'{near_match(noun, nouns)}")
    for title in nouns if noun == "all" else [noun]:
        if noun == "all":
            click.echo(f"{title}:")
        for name in catalog.names(nouns[title]):
            click.echo(f"  {name:<18} {catalog.describe(nouns[title], name)}")
            keys = catalog.parameters(nouns[title], name)
            if keys:
                click.echo(click.wrap_text(" ".join(keys), 110, f"  {'':<18} ", f"  {'':<18} "))

"""Every network on every chip, in closed form: it runs, or the chip says which layer it cannot run, and why.

Chips and networks are those of the catalogue and of the tables of published networks; a new one is tried by itself.
"""

from __future__ import annotations

import csv
import time
from functools import cache
from pathlib import Path

import pytest

import hwsim
from hwsim import NetworkResult, catalog
from hwsim.errors import InputError
from hwsim.ir import Network

TABLES = sorted((Path(__file__).parent / "data").glob("*.csv"))
CHIPS = catalog.names("chip")

FAST = (
    "attention",
    "deepbench",
    "fractalnet",
    "googlenet",
    "gru",
    "mobilenet:version=3,small=true",
    "neuraltalk",
    "senet:depth=18",
    "shufflenet",
    "squeezenet:version=1.1",
    "vit:image=32",
    "zfnet",
)
"""Networks of every structure that take little time, for every run of the tests."""


def published() -> list[str]:
    """Return the spec of every row of the tables that have them."""
    rows = (row for table in TABLES for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    return sorted({row["spec"] for row in rows if "spec" in row})


SLOW = sorted({*catalog.names("network"), *published()} - set(FAST))


@cache
def network(spec: str) -> Network:
    return catalog.network(spec)


def attempt(spec: str, chip: str) -> NetworkResult | InputError:
    """Return the result, or why the chip refuses the network."""
    try:
        return hwsim.simulate(network(spec), on=chip)
    except InputError as refused:
        return refused


def check(spec: str, chip: str) -> None:
    found = attempt(spec, chip)
    if isinstance(found, InputError):
        assert any(f"'{layer.name}'" in str(found) for layer in network(spec).layers), str(found)
    else:
        assert found.total["macs"] == network(spec).macs
        assert found.total["seconds"] > 0


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("spec", FAST)
def test_a_network_runs_or_the_chip_names_the_layer_it_refuses(spec: str, chip: str) -> None:
    check(spec, chip)


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("spec", SLOW)
def test_every_published_network_runs_or_the_chip_names_the_layer_it_refuses(spec: str, chip: str) -> None:
    check(spec, chip)


@pytest.mark.slow
def test_every_family_runs_on_some_chip_and_every_chip_runs_some_family_in_less_than_a_minute() -> None:
    begun = time.perf_counter()
    runs = {
        (spec, chip)
        for spec in catalog.names("network")
        for chip in CHIPS
        if isinstance(attempt(spec, chip), NetworkResult)
    }
    assert time.perf_counter() - begun < 60
    assert {spec for spec, _ in runs} == set(catalog.names("network"))
    assert {chip for _, chip in runs} == set(CHIPS)

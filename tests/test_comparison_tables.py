"""The shipped comparison tables: each is read, says where it is from, and agrees with what its paper says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim import published
from hwsim.results.expectation import expectations, read


@pytest.mark.parametrize("path", published.comparisons().values(), ids=published.comparisons().keys())
def test_every_shipped_table_is_read_and_says_where_it_is_from(path: Path) -> None:
    rows = read(path)
    assert {row.table for row in rows} == {path.stem}
    assert all(row.source.work and row.source.year and row.source.locator and row.reason for row in rows)
    # two scored values for one quantity of one run would count it twice
    scored = [
        (row.network, row.batch, row.chip, row.format, row.dataflow, row.layer, row.quantity, row.over)
        for row in rows
        if row.scored
    ]
    assert len(scored) == len(set(scored))


def test_published_is_every_file_of_the_folder() -> None:
    names = [path.stem for path in sorted((Path(published.__file__).parent / "comparisons").iterdir())]
    assert list(published.comparisons()) == names
    assert list(dict.fromkeys(row.table for row in expectations())) == names
    assert expectations("tpu_v1_table3") == [row for row in expectations() if row.table == "tpu_v1_table3"]


@pytest.mark.parametrize("network", ["MLP0", "LSTM1", "CNN0"])
def test_counters_of_the_tpu_add_up_as_the_paper_says(network: str) -> None:
    rows = [row for row in expectations("tpu_v1_table3") if row.network == network and row.unit == "fraction"]
    share = {row.quantity.removesuffix("_fraction"): row.published for row in rows}
    # "rows 1, 4, 5 and 6 total 100 %", 2 and 3 break row 1 down; each is rounded to a tenth of a percent
    parts = ("array_active", "weight_stall", "weight_shift", "non_matrix")
    assert sum(share[part] for part in parts) == pytest.approx(1, abs=0.0021)
    assert share["useful_macs"] + share["unused_macs"] == pytest.approx(share["array_active"], abs=0.0011)

"""README.md shows what the commands print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import hwsim
from hwsim.cli import main

README = Path(__file__).parents[1] / "README.md"


def block(marker: str) -> str:
    """Return the fenced block behind `<!-- marker -->`."""
    match = re.search(rf"<!-- {re.escape(marker)} -->\n```\w*\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None, f"README.md has no block marked '{marker}'"
    return match[1]


def run(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Run a command line in this process; it ends with exit code 0."""
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in {None, 0}


def test_readme_shows_what_its_first_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = block("ci: run").splitlines()[-1].split()
    run(monkeypatch, command[: command.index("--out")])
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert block("output: run").strip() == printed.strip()


def test_the_network_file_shown_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"```python\n(# mynet\.py.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "mynet.py").write_text(code[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, ["hwsim", "run", "./mynet.py:width=7", "--csv"])
    # conv: 32 x 32 positions x 7 channels x 3 x 3 x 3 products; classifier: 7 x 32 x 32 by 10
    rows = capsys.readouterr().out.splitlines()
    column = rows[0].split(",").index("macs")
    assert sum(int(row.split(",")[column]) for row in rows[1:]) == 1024 * 7 * 27 + 7168 * 10


def test_the_chip_file_shown_in_the_readme_runs_and_keeps_the_contracts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.search(r"```python\n(# mychip\.py.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "mychip.py").write_text(code[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    closed = hwsim.simulate("mlp:batch=7", on="./mychip.py:side=13")
    stepped = hwsim.simulate("mlp:batch=7", on="./mychip.py:side=13", fidelity="stepped")
    assert [layer.timing for layer in stepped.layers] == [layer.timing for layer in closed.layers]
    assert [layer.counts for layer in stepped.layers] == [layer.counts for layer in closed.layers]
    # 784 x 300, 300 x 100, 100 x 10 products of 7 rows, 13 x 13 of them in a cycle; weights once over 64 bits
    weights = 784 * 300 + 300 * 100 + 100 * 10
    assert closed.total["macs"] == 7 * weights
    assert closed.total["total_cycles"] >= max(7 * weights / 13**2, 8 * weights / 64)
    assert closed.total["energy_pj"] > 0
    assert {"mychip clock_hz", "energy of mac int8"} <= {row["what"] for row in closed.sources}


def test_the_compression_shown_in_the_readme_runs() -> None:
    code = re.search(r"```python\n(from hwsim import catalog.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    # one weight in ten is kept, in 4 bits of 32, plus 4 of index and the codebooks
    assert 30 < names["small"].ratio < 40

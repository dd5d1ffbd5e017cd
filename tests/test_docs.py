"""docs/ says what the code does: generated parts are current, examples by hand hold, commands run, links resolve."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from command import answer

from hwsim import Network, NetworkBuilder, catalog, simulate
from hwsim.cli import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CHIPS = catalog.names("chip")

QUICK = ("run", "list", "show")
"""Verbs whose commands are run here, unless they write files; those of a page need what the ones before them wrote."""

ELSEWHERE = ("measure", "--with measured")
"""What the commands contain that measure this machine for minutes."""


def script() -> Any:
    """Return `benchmarks/machine_pages.py`, which is no package's."""
    spec = importlib.util.spec_from_file_location("machine_pages", ROOT / "benchmarks" / "machine_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(page: Path) -> list[list[str]]:
    """Return the words of every line of a page's shell blocks that calls hwsim."""
    blocks = re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL)
    lines = (line for block in blocks for line in block.replace("\\\n", "").splitlines() if line.startswith("hwsim "))
    return [shlex.split(line, comments=True)[1:] for line in lines]


def quick_commands() -> list[list[str]]:
    """Return the commands of all pages, once each, that are quick and need no other's files."""
    every = {shlex.join(words): words for page in PAGES for words in commands(page)}
    return [words for words in every.values() if words[0] in QUICK and "--out" not in words]


@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_has_a_page_with_every_part(name: str) -> None:
    text = text_of(DOCS / "machines" / f"{name}.md")
    parts = [match[1] for match in re.finditer(r"<!-- (\w+: \w+) -->", text)]
    needed = ["generated: picture", "generated: parameters", "generated: sources", f"scoreboard: {name}"]
    assert [part for part in parts if part != "generated: machines"] == needed
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    expected = ["What is modelled", "Equations", "By hand", "Parameters", "Sources", "Errors", "Limits", "Try"]
    assert headings == expected


def test_there_is_a_page_for_nothing_but_chips() -> None:
    assert sorted(page.stem for page in (DOCS / "machines").iterdir()) == CHIPS


@pytest.mark.parametrize("name", CHIPS)
def test_generated_parts_are_what_the_catalogue_says(name: str) -> None:
    text = text_of(DOCS / "machines" / f"{name}.md")
    assert script().rewritten(text, name) == text, "run python benchmarks/machine_pages.py --write"


@pytest.mark.parametrize("name", CHIPS)
def test_a_page_shows_the_picture_of_the_chips_own_file(name: str) -> None:
    shown = re.search(r"```text\n(.*?)```", text_of(DOCS / "machines" / f"{name}.md"), re.DOTALL)
    assert shown is not None
    drawn = [line.strip() for line in text_of(ROOT / "hwsim" / "chips" / f"{name}.py").splitlines()]
    first = next(number for number, line in enumerate(drawn) if line == shown[1].splitlines()[0].strip())
    lines = shown[1].splitlines()
    assert [line.strip() for line in lines] == drawn[first : first + len(lines)]


def test_a_source_is_cited_by_the_number_of_its_work() -> None:
    from hwsim.arch import Source

    module = script()
    paper, other = Source("A paper", 2001, "Table 7"), Source("Another", None, "p. 3")
    works = module.Works([paper, Source.assumed("why"), other, paper])
    assert [works.cite(one) for one in (other, paper, None)] == ["[2] p. 3", "[1] Table 7", ""]
    assert works.cite(Source.assumed("half of it (A paper 2001, Table 7)")) == "assumed: half of it ([1], Table 7)"
    assert str(works) == "- [1] A paper 2001\n- [2] Another\n\n"


def test_the_scoreboard_of_a_page_has_the_rows_of_its_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script()
    head = (
        "machine,metric,error_unit,rows,scored,with_tolerance,within_tolerance,mean_error,worst_error,worst_row,"
        "roofline_mean_error,measured_again_mean_error,calibrated,chosen_in_view"
    )
    rows = [
        "gpu:h100,products,%,23,19,0,0,7.125,-31.0,17 x 5,44.5,5.25,40 shapes,its form",
        '"gpu:h100, library=eager",products,%,23,19,0,0,7.125,-31.0,17 x 5,44.5,5.25,40 shapes,its form',
        '"gpu:h100, library=direct",products,%,23,19,0,0,11,-31.0,17 x 5,44.5,5.25,40 shapes,its form',
        "gpu over cpu:i7,speed,points,3,3,3,2,1.5,2.25,CNN0,,,nothing,",
        "eie,time,%,1,0,0,0,,,,,,,",
    ]
    (tmp_path / "scoreboard.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    monkeypatch.setattr(module, "SCOREBOARD", tmp_path / "scoreboard.csv")
    # the second row is what the first one is: that machine, run in a way that makes no difference here
    _, _, first, third, fourth, *_ = module.scoreboard("gpu").splitlines()
    assert first.startswith(
        "| gpu:h100 | products | 19 of 23 |  | 7.12 % | -31 % | 17 x 5 | 44.5 % | 5.25 % | 40 shapes |"
    )
    assert third.startswith("| gpu:h100, library=direct | products | 19 of 23 |  | 11 % | -31 % |")
    assert (
        fourth == "| gpu over cpu:i7 | speed | 3 of 3 | 2 of 3 | 1.5 points | +2.25 points | CNN0 |  |  | nothing |  |"
    )
    assert "| eie | time | 0 of 1 |\n" in module.scoreboard("eie"), "columns that say nothing are left out"


@pytest.mark.parametrize("page", [page for page in PAGES if "```pycon" in text_of(page)], ids=named)
def test_what_a_page_works_out_by_hand_is_what_the_simulation_gives(page: Path) -> None:
    for block in re.findall(r"```pycon\n(.*?)```", text_of(page), re.DOTALL):
        example = doctest.DocTestParser().get_doctest(block, {}, page.stem, str(page), 0)
        said: list[str] = []
        assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text_of(page)):
        assert target.startswith("https://") or (page.parent / target).is_file(), target


def test_every_picture_in_docs_is_shown_somewhere() -> None:
    shown = "".join(map(text_of, [*PAGES, ROOT / "README.md"]))
    assert [picture.name for picture in DOCS.glob("*.png") if picture.name not in shown] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=named)
def test_every_command_names_a_verb_and_options_that_there_are(page: Path) -> None:
    for verb, *words in commands(page):
        assert verb in cli.commands, verb
        try:
            cli.commands[verb].make_context(verb, list(words))
        except click.ClickException as error:
            pytest.fail(f"hwsim {verb} {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("words", quick_commands(), ids=shlex.join)
def test_a_quick_command_of_the_docs_runs(words: list[str]) -> None:
    assert answer(*words)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=named)
def test_the_commands_of_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(page):
        if not any(text in " ".join(words) for text in ELSEWHERE):
            assert answer(*words)


def tables(heading: str) -> list[str]:
    """Return the column names, with * for any, of the tables under a heading of the nomenclature."""
    under = text_of(DOCS / "nomenclature.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    firsts = (line.split("|")[1] for line in under.splitlines() if line.startswith("| `"))
    return [name for first in firsts for name in re.findall(r"`([^`]+)`", first)]


def fully_connected() -> Network:
    net = NetworkBuilder("tiny")
    net.linear("second", net.linear("first", net.input("x", (1, 17)), 13), 7)
    return net.build()


def image() -> Network:
    net = NetworkBuilder("tiny_image")
    x = net.pool("pool", net.activation("relu", net.conv("conv", net.input("x", (1, 8, 13, 13)), 16, 3)), 2)
    net.linear("fc", net.flatten("flat", x), 7)
    return net.build()


@cache
def columns() -> tuple[frozenset[str], frozenset[str]]:
    """Return the columns of layers and of networks that there are on any chip."""
    chips = [*(name for name in CHIPS if name != "eie"), "cpu:convolution=im2col"]
    results = [simulate(image(), on=chip) for chip in chips]
    results += [simulate(fully_connected(), on="eie"), simulate(fully_connected(), on="systolic", functional=True)]
    layers = frozenset(name for result in results for row in result.rows for name in row)
    return layers, frozenset(name for result in results for name in result.total)


@pytest.mark.parametrize(("heading", "which"), [("Columns of a layer", 0), ("Columns of a network", 1)])
def test_the_nomenclature_has_every_column_and_no_other(heading: str, which: int) -> None:
    known, found = tables(heading), columns()[which]
    assert sorted(one for one in found if not any(fnmatchcase(one, name) for name in known)) == []
    assert [name for name in known if not any(fnmatchcase(one, name) for one in found)] == []

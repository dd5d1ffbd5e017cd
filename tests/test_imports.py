"""Imports flow one way, the leaf folders stay leaves, and a verb imports only what it needs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = ("workloads", "dataflows", "reports")
SETUPTOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]

PIPELINE = (
    "errors", "units", "published", "ir", "formats", "arch", "measured", "mapping", "results.record", "engine", "chips",
)  # fmt: skip
"""Each may import those before it."""


def before(part: str) -> set[str]:
    return set(PIPELINE[: PIPELINE.index(part)])


MAY_IMPORT = {
    **{part: before(part) for part in PIPELINE},
    "quantise": {"errors", "formats"},
    "functional": {"errors", "units", "ir", "formats", "quantise", "compress"},
    "compress": {"errors", "units", "ir", "formats", "quantise"},
    "engine": before("engine") | {"functional", "compress", "quantise"},
    "results": before("chips"),
    "spec": {"errors"},
    "catalog": before("chips") | {"spec"},
    "precision": before("chips") | {"catalog"},
    "simulate": before("chips") | {"catalog", "functional", "precision"},
    "measure": before("chips") | {"catalog", "spec", "functional", "simulate", "results"},
    "sweep": before("chips") | {"catalog", "spec", "simulate", "precision", "results"},
    "validate": before("chips") | {"catalog", "spec", "simulate", "results"},
    "cli": before("chips") | {"catalog", "precision", "simulate", "sweep", "measure", "validate", "results", "hwsim"},
    "__main__": {"cli"},
    "hwsim": before("chips") | {"catalog", "simulate", "results", "sweep"},
    **dict.fromkeys(LEAVES, {*PIPELINE, "functional"} - {"chips"}),
}

EXCEPTIONS = {
    ("hwsim.results.record", "hwsim"): "every result states the version",
    ("hwsim.results.record", "hwsim.results.store"): "NetworkResult.plot draws as result folders are drawn",
    ("hwsim.measure.record", "hwsim"): "every measurement states the version",
    ("hwsim.measure.beside", "hwsim"): "every comparison states the version",
    ("hwsim.results.store", "hwsim"): "every folder states the version",
    ("hwsim.results.page", "hwsim"): "every page states the version",
    ("hwsim.results.origin", "hwsim"): "every figure states the version",
    ("hwsim.results.origin", "hwsim.catalog"): "figures depend on the code of reports found by name",
    ("hwsim.results.page_figures", "hwsim.catalog"): "figures are of reports found by name",
    ("hwsim.sweep.schema", "hwsim"): "every study states the version",
    ("hwsim.sweep.executors", "hwsim"): "workers on other machines are of the same version",
    ("hwsim.sweep.summary", "hwsim"): "every summary states the version",
    ("hwsim.results.store", "hwsim.catalog"): "figures and timelines are of reports and engines found by name",
}
"""Imports against the flow. They stand inside functions, so that modules still load one way."""


def source_files() -> dict[str, Path]:
    """Return every module's name, as it is installed, with its file."""
    folders = {"hwsim": ROOT / "hwsim", **{f"hwsim.{leaf}": ROOT / leaf for leaf in LEAVES}}
    return {
        ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): path
        for package, folder in folders.items()
        for path in sorted(folder.rglob("*.py"))
    }


FILES = source_files()


class Edge(NamedTuple):
    """`module` imports `target`; `relative` counts the dots, `late` says that it does so inside a function."""

    module: str
    target: str
    relative: int
    late: bool


def part_of(module: str) -> str:
    """Return the part of the design a module belongs to: hwsim.ir.layer is of "ir"."""
    names = module.split(".")
    if names[1:3] == ["results", "record"]:
        return "results.record"
    return names[1] if len(names) > 1 else names[0]


def statements(node: ast.AST, late: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the imports below `node`, those for type checkers left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, late
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from statements(ast.Module([other], []), late)
        else:
            yield from statements(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def edges(module: str, text: str) -> Iterator[Edge]:
    """Yield what `module` of source `text` imports."""
    package = module if FILES.get(module, Path()).name == "__init__.py" else module.rpartition(".")[0]
    for statement, late in statements(ast.parse(text)):
        if isinstance(statement, ast.Import):
            yield from (Edge(module, alias.name, 0, late) for alias in statement.names)
            continue
        parents = package.split(".")[: len(package.split(".")) - statement.level + 1] if statement.level else []
        base = ".".join((*parents, *filter(None, [statement.module])))
        for alias in statement.names:
            whole = f"{base}.{alias.name}"
            yield Edge(module, whole if whole in FILES else base, statement.level, late)


def faults(module: str, text: str) -> list[str]:
    """Return what is wrong with the imports of `module`, exceptions left out."""
    found, part = [], part_of(module)
    for edge in edges(module, text):
        top, other = edge.target.partition(".")[0], part_of(edge.target)
        said = f"{module} imports {edge.target}"
        if top in LEAVES or (other in LEAVES and other != part):
            found.append(f"{said}: leaves are reached through hwsim.catalog")
        elif edge.relative > 1:
            found.append(f"{said} relatively, from outside its folder")
        elif part in LEAVES and other == part and top == "hwsim" and not edge.relative:
            found.append(f"{said}: a leaf imports its own folder relatively")
        elif top == "hwsim" and other not in {part, *MAY_IMPORT[part]} and not excepted(edge):
            found.append(f"{said} against the flow")
    return found


def excepted(edge: Edge) -> bool:
    return edge.late and (edge.module, edge.target) in EXCEPTIONS


@pytest.mark.parametrize("module", FILES)
def test_imports_flow_one_way_and_leaves_are_not_imported(module: str) -> None:
    assert part_of(module) in MAY_IMPORT, f"{part_of(module)} has no place in the flow"
    assert faults(module, FILES[module].read_text(encoding="utf-8")) == []


def test_every_exception_is_needed() -> None:
    found = (edge for name, path in FILES.items() for edge in edges(name, path.read_text(encoding="utf-8")))
    assert {(edge.module, edge.target) for edge in found if excepted(edge)} == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("hwsim.ir.mine", "from hwsim.engine import array"),
        ("hwsim.ir.mine", "def f():\n    import hwsim.formats.int8"),
        ("hwsim.arch.mine", "from hwsim import simulate"),
        ("hwsim.arch.mine", "from hwsim import __version__"),
        ("hwsim.arch.mine", "if True:\n    from hwsim.mapping import Mapping"),
        ("hwsim.arch.mine", "if TYPE_CHECKING:\n    import pandas\nelse:\n    import hwsim.cli"),
        ("hwsim.arch.mine", "from ..ir import Layer"),
        ("hwsim.results.record", "from hwsim import catalog"),
        ("hwsim.chips.mine", "from hwsim.dataflows.weight_stationary import weight_stationary"),
        ("hwsim.cli", "from hwsim import workloads"),
        ("hwsim.cli", "import workloads.alexnet"),
        ("hwsim.workloads.mine", "from hwsim.workloads._blocks import relu"),
        ("hwsim.workloads.mine", "from hwsim.reports import layers"),
        ("hwsim.workloads.mine", "from _blocks import relu\nimport workloads"),
        ("hwsim.reports.mine", "from hwsim import catalog"),
        ("hwsim.reports.mine", "from hwsim.chips.systolic import systolic"),
    ],
)
def test_an_import_against_the_flow_is_found(module: str, text: str) -> None:
    assert len(faults(module, text)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("hwsim.arch.mine", "if TYPE_CHECKING:\n    from hwsim.mapping import Mapping"),
        ("hwsim.arch.mine", "if typing.TYPE_CHECKING:\n    from hwsim import simulate"),
        ("hwsim.arch.mine", "from .energy import EnergyTable\nfrom hwsim.arch.source import Source"),
        ("hwsim.results.store", "def f():\n    from hwsim import catalog"),
        ("hwsim.workloads.mine", "import numpy\nfrom hwsim.ir import NetworkBuilder\nfrom ._blocks import relu"),
    ],
)
def test_an_import_along_the_flow_is_not(module: str, text: str) -> None:
    assert faults(module, text) == []


def test_every_folder_of_the_product_is_an_installed_package() -> None:
    assert sorted(SETUPTOOLS["packages"]) == sorted(name for name, path in FILES.items() if path.name == "__init__.py")
    assert {path.parent for path in FILES.values()} == {
        path.parent for path in FILES.values() if path.name == "__init__.py"
    }
    assert SETUPTOOLS["package-dir"] == {"hwsim": "hwsim", **{f"hwsim.{leaf}": leaf for leaf in LEAVES}}


GENERATED = "scoreboard"
"""The folder of reports that `hwsim validate --out` writes, kept for review and not installed."""


def test_every_file_that_is_not_python_is_package_data() -> None:
    data = [
        path
        for folder in ("hwsim", *LEAVES)
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".py" and not {"__pycache__", GENERATED} & set(path.parts)
    ]
    patterns = [
        f"{package.replace('.', '/')}/{name}" for package, names in SETUPTOOLS["package-data"].items() for name in names
    ]
    assert any(path.suffix == ".csv" for path in data)
    for path in data:
        assert any(path.relative_to(ROOT).match(name) for name in patterns), f"{path} is not installed"


HEAVY = ("matplotlib", "numba", "numpy", "onnx", "pandas")
REPORT = """
import sys
from hwsim.cli import main
try:
    main()
finally:
    print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        ("run resnet:depth=50", HEAVY),
        ("run resnet:depth=50 --json", (*HEAVY, "rich")),
        ("run resnet:depth=50 --csv", (*HEAVY, "rich")),
        ("list formats", (*HEAVY, "rich")),
        ("--help", (*HEAVY, "rich")),
        ("run --help", (*HEAVY, "rich")),
    ],
)
def test_a_verb_imports_only_what_it_needs(words: str, unwanted: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", REPORT, *words.split()]
    ran = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    imported = ran.stderr.partition("imported: ")[2].split()
    assert "hwsim" in imported
    assert [name for name in unwanted if name in imported] == []

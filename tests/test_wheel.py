"""What the wheel contains, and that it runs from an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from email.parser import Parser
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

import hwsim

pytest.importorskip("build", reason="wheels are built with the package 'build'")
pytest.importorskip("pip", reason="wheels are installed with pip")

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOLDERS = {"hwsim": "hwsim", "workloads": "hwsim/workloads", "dataflows": "hwsim/dataflows", "reports": "hwsim/reports"}
"""Folders of the repository that are installed, and as what."""

CLEAN = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", "runs", ".*")


def setuptools_is_there() -> bool:
    return find_spec("setuptools") is not None and int(version("setuptools").partition(".")[0]) >= 77


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the repository, since a build leaves files behind that the next one would take in."""
    copy, out = tmp_path_factory.mktemp("source") / "repository", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, copy, ignore=CLEAN)
    isolation = ["--no-isolation"] if setuptools_is_there() else []
    command = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(out), str(copy)]
    built = subprocess.run(command, capture_output=True, check=False, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel, and nothing that it depends on, is installed in."""
    target = tmp_path_factory.mktemp("installed")
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True, timeout=120)
    return target


def names(wheel: Path) -> list[str]:
    with ZipFile(wheel) as content:
        return content.namelist()


def test_wheel_has_exactly_one_top_level_name(wheel: Path) -> None:
    assert {name.partition("/")[0] for name in names(wheel)} == {"hwsim", f"hwsim-{hwsim.__version__}.dist-info"}


def test_wheel_has_every_file_of_the_product_and_no_other(wheel: Path) -> None:
    sources = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        # what `hwsim validate --out` writes is kept for review and not installed
        if path.is_file() and not {"__pycache__", "scoreboard"} & set(path.parts)
    }
    assert {"hwsim/py.typed", "hwsim/published/energy.csv", "hwsim/workloads/alexnet.py"} <= sources
    assert any(name.startswith("hwsim/published/comparisons/") for name in sources)
    assert {name for name in names(wheel) if name.startswith("hwsim/")} == sources


def test_wheel_says_what_it_is(wheel: Path) -> None:
    folder = f"hwsim-{hwsim.__version__}.dist-info"
    with ZipFile(wheel) as content:
        metadata = Parser().parsestr(content.read(f"{folder}/METADATA").decode())
        scripts = content.read(f"{folder}/entry_points.txt").decode()
    assert (metadata["Name"], metadata["Version"]) == ("hwsim", PROJECT["version"])
    assert PROJECT["version"] == hwsim.__version__
    assert f"{folder}/licenses/LICENSE" in names(wheel)
    assert "hwsim = hwsim.cli:main" in scripts


def python(installed: Path, folder: Path, *words: str) -> str:
    """Return what Python prints in `folder` with the installed package; it must succeed and say nothing besides."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=False, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_installed_command_lists_and_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    command = str(installed / "bin" / "hwsim")
    listed = python(installed, tmp_path, command, "list")
    for name in ("alexnet", "systolic", "weight_stationary", "int8", "layers"):
        assert f"\n  {name} " in listed
    assert "alexnet on systolic" in python(installed, tmp_path, command, "run", "alexnet")
    assert list(tmp_path.iterdir()) == []


def test_installed_package_is_the_one_that_runs(installed: Path, tmp_path: Path) -> None:
    modules = ("hwsim", "hwsim.workloads.alexnet", "hwsim.dataflows.weight_stationary", "hwsim.reports")
    code = f"import importlib\nfor name in {modules}:\n    print(importlib.import_module(name).__file__)"
    assert all(path.startswith(str(installed / "hwsim")) for path in python(installed, tmp_path, "-c", code).split())

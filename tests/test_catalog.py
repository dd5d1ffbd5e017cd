"""Names, paths and entry points find their function or record; `NAME:key=value,...` calls it."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from command import CHIP, NETWORK, TOPOLOGY, answer, hwsim
from hypothesis import given
from hypothesis import strategies as st

from hwsim import catalog
from hwsim.arch import Accelerator
from hwsim.errors import InputError, UsageError
from hwsim.formats import NumberFormat
from hwsim.formats.int8 import int8
from hwsim.ir import Network
from hwsim.spec import Spec, convert, parameters_of, parse, split

NAMED = [(noun, name) for noun in catalog.FOLDERS for name in catalog.names(noun)]
LOADERS: dict[str, Callable[[str], object]] = {
    "network": catalog.network, "chip": catalog.chip, "dataflow": catalog.dataflow, "format": catalog.number_format,
    "report": catalog.report,
}  # fmt: skip

KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(codec="ascii", exclude_characters=",", exclude_categories=["Cc", "Zs"]), max_size=8)
NAMES = st.from_regex(r"(\./|/a/)?[a-z][a-z0-9_]{0,8}(\.onnx|\.py)?", fullmatch=True)
SPECS = st.builds(Spec, NAMES, st.dictionaries(KEYS, VALUES, max_size=4))


def written(spec: Spec) -> str:
    pairs = ",".join(f"{key}={value}" for key, value in spec.parameters.items())
    return f"{spec.name}:{pairs}" if pairs else spec.name


@given(SPECS)
def test_a_spec_that_is_written_is_read_again(spec: Spec) -> None:
    assert parse(written(spec)) == spec


@given(st.lists(SPECS, min_size=1, max_size=4))
def test_a_list_is_split_between_specs_and_not_between_parameters(specs: list[Spec]) -> None:
    assert [parse(text) for text in split(",".join(map(written, specs)))] == specs


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("alexnet", ("alexnet", {})),
        ("alexnet:", ("alexnet", {})),
        ("resnet:depth=50, batch = 8", ("resnet", {"depth": "50", "batch": "8"})),
        ("mlp:hidden=", ("mlp", {"hidden": ""})),
        ("gpu:v100", ("gpu", {"": "v100"})),
        ("gpu:v100,rate=2", ("gpu", {"": "v100", "rate": "2"})),
        ("gpu:rate=a=b:c", ("gpu", {"rate": "a=b:c"})),
        ("./a=b/net.onnx:batch=3", ("./a=b/net.onnx", {"batch": "3"})),
        (r"C:\nets\net.onnx:batch=3", (r"C:\nets\net.onnx", {"batch": "3"})),
    ],
)
def test_a_spec_is_a_name_and_its_parameters(text: str, spec: tuple[str, dict[str, str]]) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize("text", ["", ":batch=2", "alexnet:batch=1,2", "alexnet:a=1,a=2"])
def test_what_is_no_spec_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_a_path_may_contain_a_colon(tmp_path: Path) -> None:
    path = tmp_path / "a:b.csv"
    path.write_text(TOPOLOGY, encoding="utf-8")
    assert parse(str(path)) == (str(path), {})
    assert catalog.network(f"{path}:pad=true").layers[0].P == 11


def test_all_is_every_name_of_the_noun() -> None:
    assert catalog.split("all", "chip") == catalog.names("chip")
    assert catalog.split("systolic:rows=3,cols=5,./a.py:x=1,b", "chip") == ["systolic:rows=3,cols=5", "./a.py:x=1", "b"]


@given(st.one_of(st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False)))
def test_a_value_that_is_written_is_read_again(value: object) -> None:
    for kind in (type(value), type(value) | None):
        found = convert("it", str(value), kind)
        assert (found, type(found)) == (value, type(value))


@given(st.text())
def test_text_stays_as_it_is(value: str) -> None:
    assert convert("it", value, str) == convert("it", value, inspect.Parameter.empty) == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", int), ("2.0", int), ("", int), (str(2**63), int), ("x", float), ("nan", float), ("2", bool), ("", bool)],
)
def test_what_is_not_of_its_kind_is_a_usage_error(value: str, kind: type) -> None:
    with pytest.raises(UsageError, match=f"^it={value} is "):
        convert("it", value, kind)


def test_parameters_without_a_readable_type_have_that_of_their_default() -> None:
    scope: dict[str, Any] = {}
    source = "def mine(a: Absent, b=3, c: 'float' = 5, *rest, d='x', e: 'Absent' = 2.5, **more): pass"
    exec(f"from __future__ import annotations\n{source}", scope)
    found = {key: one.annotation for key, one in parameters_of(scope["mine"]).items()}
    assert found == {"a": type, "b": int, "c": int, "d": str, "e": float}


def test_optional_parameters_are_read_as_what_they_may_be() -> None:
    def mine(a: int | None = None, b: float | None = None, c: str | None = None) -> None: ...

    kinds = {key: one.annotation for key, one in parameters_of(mine).items()}
    assert [convert("it", "3", kind) for kind in kinds.values()] == [3, 3.0, "3"]


@pytest.mark.parametrize(("noun", "name"), NAMED)
def test_every_name_loads_is_described_and_is_what_its_noun_says(noun: str, name: str) -> None:
    kinds = {"network": Network, "chip": Accelerator, "format": NumberFormat}
    found = LOADERS[noun](name)
    assert isinstance(found, kinds[noun]) if noun in kinds else callable(found)
    module = importlib.import_module(f"{catalog.FOLDERS[noun]}.{name}")
    assert catalog.describe(noun, name)
    assert (module.__doc__ or "").startswith(catalog.describe(noun, name))
    if noun in ("network", "chip", "format"):
        # applications have the names of their table, not of the file
        assert getattr(found, "name", "").startswith({"tpu_apps": "MLP0"}.get(name, name))
    if noun != "format":
        assert inspect.getdoc(getattr(module, name)), f"{noun} '{name}' does not say what it returns"


@pytest.mark.parametrize(("noun", "name"), [pair for pair in NAMED if pair[0] in ("network", "chip")])
def test_every_default_that_is_listed_can_be_given(noun: str, name: str) -> None:
    spec = f"{name}:{','.join(catalog.parameters(noun, name))}"
    found, default = (LOADERS[noun](text) for text in (spec, name))
    if noun == "network":
        assert found == default
    else:
        assert isinstance(found, Accelerator)
        assert isinstance(default, Accelerator)
        assert found.parameters == default.parameters


def test_a_record_is_taken_as_it_is() -> None:
    net, chip = catalog.network("mlp"), catalog.chip("systolic")
    assert catalog.network(net) is net
    assert catalog.chip(chip) is chip
    assert catalog.number_format(int8) is int8


def test_a_chip_with_parameters_is_labelled_with_them() -> None:
    assert catalog.chip("systolic").label == "systolic"
    assert catalog.chip("systolic:rows=3,cols=5").label == "systolic:rows=3,cols=5"


def test_files_of_a_users_own_are_found_by_path_whatever_the_case_of_their_suffix(tmp_path: Path) -> None:
    contents = {"mynet.py": NETWORK, "my-chip.py": CHIP.replace("mychip", "my_chip"), "T.CSV": TOPOLOGY}
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert catalog.network(f"{tmp_path}/mynet.py:batch=3").batch == 3
    assert catalog.chip(f"{tmp_path}/my-chip.py:rows=7").array.rows == 7
    assert catalog.network(f"{tmp_path}/T.CSV").layers[0].P == 9


@pytest.mark.parametrize("name", ["a" * 300 + ".onnx", "./" + "a" * 5000, "a:" + "b" * 5000])
def test_a_name_too_long_for_a_file_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        catalog.network(name)


@pytest.mark.parametrize("noun", ["dataflow", "format", "report"])
def test_a_users_file_of_the_wrong_kind_is_an_input_error(noun: str, tmp_path: Path) -> None:
    path = tmp_path / "three.py"
    path.write_text("three = 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="is of type int, not"):
        LOADERS[noun](str(path))


def test_a_chip_that_names_no_engine_is_an_input_error() -> None:
    assert catalog.engine("array").__name__ == "hwsim.engine.array"  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no engine named 'abacus'"):
        catalog.engine("abacus")


def fake_chip(rows: int, cols: int = 3) -> Accelerator:
    """A chip of another package."""
    return catalog.chip(f"systolic:rows={rows},cols={cols}")


FAKE_FORMAT = NumberFormat("fake8", 8, "int", 32, "int8", "int32", description="a format of another package")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package that offers a chip, a format, a broken network, and a chip of a name that is taken."""
    points = [
        EntryPoint("fake", f"{__name__}:fake_chip", "hwsim.chips"),
        EntryPoint("systolic", f"{__name__}:fake_chip", "hwsim.chips"),
        EntryPoint("fake8", f"{__name__}:FAKE_FORMAT", "hwsim.formats"),
        EntryPoint("broken", "hwsim_absent:broken", "hwsim.networks"),
    ]
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [point for point in points if point.group == group]
    )


@pytest.mark.usefixtures("installed")
def test_an_entry_point_is_found_listed_and_called() -> None:
    assert catalog.chip("fake:rows=5").array.rows == 5
    assert catalog.number_format("fake8") is FAKE_FORMAT
    assert catalog.names("chip") == sorted({"fake", "systolic"} | set(catalog.names("chip")))
    assert "  fake               A chip of another package\n" in answer("list", "chips")
    assert "rows cols=3" in answer("list", "chips")
    assert "  fake8              a format of another package\n" in answer("list", "formats")
    with pytest.raises(UsageError, match=r"no chip named 'fakr'; did you mean 'fake'\?"):
        catalog.chip("fakr")


@pytest.mark.usefixtures("installed")
def test_a_shipped_name_is_not_taken_over_by_an_entry_point() -> None:
    assert catalog.chip("systolic").array.rows == 32


@pytest.mark.usefixtures("installed")
def test_an_entry_point_that_cannot_be_loaded_says_which() -> None:
    ran = hwsim("run", "broken")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("hwsim: network 'broken' of hwsim_absent:broken fails: ModuleNotFoundError: ")

"""Result folders: what is written is read again, is the same every time, and what is malformed is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import hwsim
from hwsim import NetworkBuilder, NetworkResult
from hwsim.errors import HardwareError, InputError, UsageError, printable
from hwsim.results import store
from hwsim.results.frame import read_frame

CHIP = "systolic:rows=5,cols=3"


def result(*names: str, on: str = CHIP) -> NetworkResult:
    """Return the result of matrix products of the given names, of 17 x 13, 13 x 13 ..."""
    net = NetworkBuilder("net")
    x = net.input("input of the network", (1, 17))
    for name in names:
        x = net.linear(name, x, 13)
    return hwsim.simulate(net.build(), on)


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def folder_of(text: str | bytes, folder: Path) -> Path:
    (folder / store.LAYERS).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_a_folder_is_read_as_the_frame_that_was_written(tmp_path: Path) -> None:
    one = result("a", "b")
    frame = read_frame(folder_of(store.csv_text([one]), tmp_path))
    assert frame.to_dict("records") == one.frame.to_dict("records") == one.rows


def test_columns_that_a_chip_lacks_are_gaps_that_sums_skip(tmp_path: Path) -> None:
    text = store.csv_text([result("a")]).splitlines()
    text = [f"{text[0]},energy_noc_pj,noc_cycles,remark", f"{text[1]},5.5,3,", f"{text[1]},,,no network on chip"]
    frame = read_frame(folder_of("\n".join(text), tmp_path))
    assert (frame["energy_noc_pj"].sum(), frame["noc_cycles"].sum()) == (5.5, 3)
    assert store.draw("layers", frame, tmp_path)


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=12))
def test_any_layer_name_is_one_line_of_csv_and_itself_in_json(name: str) -> None:
    one = result(name)
    text = store.csv_text([one])
    assert len(text.splitlines()) == 2
    assert lines(text)[0]["layer"] == printable(name)
    assert json.loads(store.json_text([one]))["layers"][0]["layer"] == name
    assert store.json_text([one]).isascii()


@pytest.mark.parametrize("name", ["NA", "nan", "None", "007", "1e5", "True", " a ", '"', "a,b", "=1+1"])
def test_a_layer_name_that_looks_like_something_else_stays_text(name: str, tmp_path: Path) -> None:
    frame = read_frame(folder_of(store.csv_text([result(name)]), tmp_path))
    assert list(frame["layer"]) == [name]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: "", "not a table of layers"),
        (lambda text: text.splitlines()[0], "has a header and no layers"),
        (lambda text: text.replace("seconds", "minutes"), "lacks the columns seconds"),
        (lambda text: text.replace("network,layer", "net,lay"), "lacks the columns network, layer"),
        (lambda text: text + 'net,"b', "not a table of layers"),
        (lambda text: text + text.splitlines()[1] + ",1,2\n", "not a table of layers"),
        (lambda text: text + "net,b\n", "line 3: batch is 'nan'"),
        (lambda text: text.replace(",221,", ",many,"), "line 2: macs is 'many', not 0 or a number from 1e-30 to"),
        (lambda text: text.replace(",221,", ",-221,"), "line 2: macs is '-221'"),
        (lambda text: text.replace(",221,", ",inf,"), "line 2: macs is 'inf'"),
        (lambda text: text.replace(",221,", ",NaN,"), "line 2: macs is 'NaN'"),
        (lambda text: text.replace(",221,", ",1e31,"), "line 2: macs is '1e\\+31'"),
        (lambda text: text.replace(",221,", ",5e-324,"), "line 2: macs is '5e-324'"),
        (lambda text: text.replace(",221,", f",{'9' * 400},"), f"line 2: macs is '{'9' * 60}', not"),
        (lambda text: b"\xff\xfe\x00" + text.encode(), "not a table of layers"),
    ],
)
def test_a_malformed_table_is_an_input_error(change: Callable[[str], str | bytes], fault: str, tmp_path: Path) -> None:
    text = store.csv_text([result("a")])
    assert ",221," in text  # 17 x 13 multiply-accumulates
    with pytest.raises(InputError, match=fault):
        read_frame(folder_of(change(text), tmp_path))


def test_a_folder_without_results_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no result folder: it has no layers.csv; make one with hwsim run"):
        read_frame(tmp_path)


def test_a_write_that_fails_leaves_the_old_file_whole_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "layers.csv"
    store.write_text(path, "old")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HardwareError, match=r"cannot write '.*layers.csv': No space left on device"):
        store.write_text(path, "new")
    assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]


def test_bytes_of_a_file_name_that_are_no_text_are_written_escaped(tmp_path: Path) -> None:
    store.write_text(tmp_path / "text", "net\udcff, µ")
    assert (tmp_path / "text").read_bytes() == b"net\\udcff, \xc2\xb5"


def test_one_result_is_an_object_and_several_are_a_list() -> None:
    one, two = result("a"), result("a", on="systolic")
    alone, both = json.loads(store.json_text([one])), json.loads(store.json_text([one, two]))
    assert both["results"][0] == alone == json.loads(json.dumps(one.as_dict()))
    assert (both["schema"], both["hwsim"]) == (alone["schema"], alone["hwsim"])


def test_text_and_pictures_of_a_result_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    one, other = (store.write([result("a", "b")], tmp_path / str(wall_s), ["layers"], wall_s) for wall_s in (2, 3))
    assert [path.name for path in one] == ["layers.png", "layers.svg"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    for name in (store.LAYERS, store.RESULT, store.TRACE):
        assert (tmp_path / "2" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    assert json.loads((tmp_path / "2" / store.MANIFEST).read_bytes())["wall_s"] == 2


def test_a_result_draws_its_reports() -> None:
    figure = result("a").plot()
    assert isinstance(figure, Figure)
    assert [axes.get_xlabel() for axes in figure.axes]

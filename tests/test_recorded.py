"""Measurements out of files that somebody else may have written: read back as they were, or told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hwsim.errors import InputError
from hwsim.ir import Kind, Layer
from hwsim.measure.beside import shape_of
from hwsim.measure.measure import measure
from hwsim.measure.recorded import of_result

Result = dict[str, Any]


@pytest.fixture(scope="module")
def text() -> str:
    """Return a measurement as `--json` prints it."""
    return json.dumps(measure("mlp:hidden=17-13,inputs=11,classes=7", backend="numpy", budget_s=0.1).as_dict())


def setting(value: object, *keys: str | int) -> Callable[[Result], None]:
    """Return what puts `value` at the end of `keys`."""

    def change(result: Result) -> None:
        place: Any = result
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def fused(*intos: object) -> Callable[[Result], None]:
    """Return what fuses fc1, relu1, fc2 ... into these."""

    def change(result: Result) -> None:
        for row, into in zip(result["layers"], intos, strict=False):
            row["fused_into"] = into

    return change


def renamed(result: Result) -> None:
    result["layers"][0]["layer"] = "fc7"


def without_time(result: Result) -> None:
    for row in result["layers"]:
        row["seconds_second_half"] = 0


def test_a_measurement_comes_back_as_it_was_made(text: str) -> None:
    result = json.loads(text)
    found = of_result(result, "run")
    assert (found.network.name, found.fmt.name, found.device, found.library) == (
        "mlp-11-17-13-7",
        "fp32",
        "cpu",
        "numpy",
    )
    assert list(found.seconds.values()) == [row["seconds_first_half"] for row in result["layers"]]
    assert list(found.again.values()) == [row["seconds_second_half"] for row in result["layers"]]
    assert (found.fused, found.notes) == ({}, tuple(result["notes"]))


def test_layers_may_be_fused_one_into_the_other(text: str) -> None:
    result = json.loads(text)
    fused("", "fc1", "relu1", "fc2")(result)
    assert of_result(result, "run").fused == {"relu1": "fc1", "fc2": "relu1", "relu2": "fc2"}


FIRST = ("layers", 0, "seconds_first_half")
PARAMETERS = ("inputs", "parameters")
DAMAGES: list[tuple[str, Callable[[Result], None]]] = [
    ("layer 'fc1' is fused into 'fc1' and that, in the end, into it", fused("fc1")),
    ("layer 'fc1' is fused into 'relu1' and that, in the end, into it", fused("relu1", "fc2", "fc1")),
    ("layer 'relu1' is fused into 'fc2' and that, in the end, into it", fused("", "fc2", "relu1")),
    ("layer 'fc1' is fused into 'nothing', which is no layer", fused("nothing")),
    ("layer 'fc1' is fused into 'list', which is no layer", fused(["fc1"])),
    ("seconds_first_half of layer 'fc1' is 'inf', neither 0 nor a number from 1e-12 to 1e+09", setting(1e400, *FIRST)),
    ("is 'nan', neither", setting(float("nan"), *FIRST)),
    ("is '-1', neither", setting(-1, *FIRST)),
    ("is '5e-324', neither", setting(5e-324, *FIRST)),
    (f"is '{'9' * 60}', neither", setting(int("9" * 400), *FIRST)),
    ("is 'True', neither", setting(True, *FIRST)),
    ("is 'NoneType', neither", setting(None, *FIRST)),
    ("no layer has seconds_second_half above 0", without_time),
    ("only the network has a layer 'fc1'", renamed),
    ("only the network has a layer 'fc3'", setting("lstm", "layers", 4, "layer")),
    ("no network named 'alexnt'; did you mean 'alexnet'?", setting("alexnt", "inputs", "network")),
    ("there is no backend 'numpy,tdp_w=1' of device 'cpu'", setting("numpy,tdp_w=1", *PARAMETERS, "backend")),
    ("there is no backend 'dict' of device 'cpu'", setting({}, *PARAMETERS, "backend")),
    ("there is no backend 'numpy' of device 'cuda'", setting("cuda", "inputs", "chip")),
    ("backend 'numpy' does not compute in './mine.py'", setting("./mine.py", "inputs", "format")),
    ("its threads are '2,tdp_w=1', no whole number from 1 to 4096", setting("2,tdp_w=1", *PARAMETERS, "threads")),
    ("its threads are '0', no", setting(0, *PARAMETERS, "threads")),
    ("its notes are no list", setting("a note", "notes")),
]  # fmt: skip


@pytest.mark.parametrize(("said", "damage"), DAMAGES, ids=[said[:40] for said, _ in DAMAGES])
def test_what_no_measurement_wrote_is_told_in_one_sentence(
    text: str, said: str, damage: Callable[[Result], None]
) -> None:
    result = json.loads(text)
    damage(result)
    with pytest.raises(InputError) as error:
        of_result(result, "run")
    assert str(error.value).startswith("'run' is a damaged measurement: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_layers_that_take_different_times_have_different_shapes() -> None:
    pool = Layer(
        name="pool", kind=Kind.POOL, function="max", inputs=("x",), input_shapes=((1, 3, 11, 11),),
        output_shape=(1, 3, 5, 5), C=3, P=5, Q=5, R=3, S=3, stride=(2, 2),
    )  # fmt: skip
    others = [{"R": 2}, {"S": 2}, {"dilation": (2, 2)}, {"padding": (1, 0, 0, 0)}, {"stride": (1, 2)}]
    assert len({shape_of(replace(pool, **change)) for change in others} | {shape_of(pool)}) == 1 + len(others)  # type: ignore[arg-type]
    assert shape_of(replace(pool, name="other")) == shape_of(pool)

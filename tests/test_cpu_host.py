"""This machine as a CPU: what its calibration says, and how a file that is damaged or cannot be written is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import hwsim as command

import hwsim
from hwsim import catalog
from hwsim.arch import Accelerator
from hwsim.errors import HardwareError, InputError, UsageError
from hwsim.mapping.cpu.constants import LIMITS, Constants
from hwsim.measure import calibrate as calibration
from hwsim.measured.host import cache_path, require_writable, write_host
from hwsim.measured.system import detect, identity

CASE = {"library": "onnxruntime", "op_class": "gemm", "format": "fp32", "shapes": 3, "constants": {"efficiency": 0.5}}

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path / "cache"))


def calibrated() -> dict[str, Any]:
    """Return what a calibration of this machine writes."""
    facts = {**detect(), "clock_mhz": 1000.0, "bandwidth_gb_s": 7.0, "tdp_w": 11.0, "keep_s": 0.5, "call_s": 3e-5}
    said = {"identity": identity(), "year": 2026, "date": "2026-11-22", "facts": facts, "cases": [CASE]}
    copied: dict[str, Any] = json.loads(json.dumps(said))
    return copied


def write(text: str) -> None:
    cache_path().parent.mkdir(exist_ok=True)
    cache_path().write_text(text, encoding="utf-8")


def test_a_host_that_is_not_calibrated_says_so() -> None:
    assert any("--calibrate" in note for note in hwsim.simulate("mlp", on="cpu:host").notes)


def test_a_calibrated_host_reads_its_own_constants() -> None:
    write(json.dumps(calibrated()))
    chip: Accelerator = catalog.chip("cpu:host")
    assert chip.clock_hz == 10**9
    assert chip.options["cases"]["gemm", "fp32"].constants == Constants(efficiency=0.5)
    assert chip.options["call_s"] == 3e-5
    assert chip.options["notes"] == ()
    assert "2026-11-22" in str(chip.sources["call_s"])
    assert "fitted together with gemm on 3 shapes" in str(chip.sources["keep_s"])


def test_a_calibration_of_another_machine_is_left_out_and_said() -> None:
    write(json.dumps({**calibrated(), "identity": {**identity(), "stepping": "another"}}))
    (note,) = catalog.chip("cpu:host").options["notes"]
    assert "--calibrate" in note
    assert "of another machine" in note


def fact(name: str, value: object) -> Change:
    return lambda said: said["facts"].update({name: value})


def constant(name: str, value: object) -> Change:
    return lambda said: said["cases"][0]["constants"].update({name: value})


def part(name: str, value: object) -> Change:
    return lambda said: said.update({name: value})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (fact("cores", "two"), "'cores' is \"two\", and the machine's is"),
        (fact("cores", 10**400), "'cores' is a huge number"),
        (fact("cores", True), "'cores' is true"),
        (fact("isa", "mmx"), "'isa' is \"mmx\""),
        (fact("clock_mhz", 10**400), "'clock_mhz' is a huge number, not a number from 1 to 100000"),
        (fact("clock_mhz", float("inf")), "'clock_mhz' is Infinity"),
        (fact("bandwidth_gb_s", float("nan")), "'bandwidth_gb_s' is NaN"),
        (fact("bandwidth_gb_s", "7"), "'bandwidth_gb_s' is \"7\", not a number"),
        (fact("keep_s", -1), "'keep_s' is -1"),
        (fact("l3_bytes", 0), "'l3_bytes' is 0"),
        (fact("speed", 1), '"speed" is unknown'),
        (fact("\x1b[2J", 1), "\\u001b[2J"),
        (constant("speed", 1.0), '"speed" is unknown'),
        (constant("efficiency", 0), "'efficiency' is 0"),
        (constant("overlap_exponent", 0.5), "'overlap_exponent' is 0.5"),
        (constant("call_s", []), "'call_s' is a list"),
        (part("facts", 7), "'facts' is 7, not an object"),
        (part("cases", {}), "'cases' is an object, not a list"),
        (part("cases", [7]), "a case is 7"),
        (part("cases", [{**CASE, "op_class": "Gemm!"}]), "'op_class' is \"Gemm!\""),
        (part("cases", [{**CASE, "shapes": 3.5}]), "'shapes' is 3.5"),
        (part("year", 10**400), "'year' is a huge number"),
        (part("date", "yesterday\n"), "'date' is \"yesterday\\n\""),
    ],
)
def test_a_value_that_cannot_be_is_one_sentence_that_names_the_file(change: Change, why: str) -> None:
    said = calibrated()
    change(said)
    write(json.dumps(said))
    with pytest.raises(InputError) as error:
        catalog.chip("cpu:host")
    assert str(error.value).startswith(f"'{cache_path()}' is no calibration: ")
    assert why in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not json", "Expecting value"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "it is a list, not an object"),
        ("1" * 5000, "digits"),
        (" " * (2**20 + 1), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(text: str, why: str) -> None:
    write(text)
    ran = command("run", "mlp", "--on", "cpu:host")
    assert ran.code == 3
    said = " ".join(ran.err.split())
    assert "is no calibration" in said
    assert why in said


def test_a_folder_in_place_of_the_file_is_refused_by_reading_and_by_writing() -> None:
    cache_path().mkdir(parents=True)
    with pytest.raises(InputError, match="it is not a file"):
        catalog.chip("cpu:host")
    with pytest.raises(HardwareError, match="it is a folder"):
        require_writable()


def test_every_constant_has_a_range_that_its_default_is_in() -> None:
    assert set(LIMITS) == set(Constants._fields)
    defaults = Constants(overlap_exponent=2.0)._asdict()
    assert all(low <= defaults[name] <= high for name, (low, high) in LIMITS.items())


def test_what_is_written_is_read_again_and_nothing_is_left_beside_it() -> None:
    for _ in range(2):
        assert write_host(json.dumps(calibrated())) == cache_path()
    assert [path.name for path in cache_path().parent.iterdir()] == [cache_path().name]
    assert catalog.chip("cpu:host").clock_hz == 10**9


def test_a_calibration_that_cannot_be_written_leaves_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    write_host("the last one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hwsim.measured.host.os.replace", full)
    with pytest.raises(HardwareError, match="No space left on device"):
        write_host("another")
    assert cache_path().read_text(encoding="utf-8") == "the last one"
    assert len(list(cache_path().parent.iterdir())) == 1


def test_an_unwritable_cache_is_known_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="a calibration is of onnxruntime's operators")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(calibration, "streams", lambda _: pytest.fail("it measures"))
    with pytest.raises(HardwareError, match=r"cannot be written .*HWSIM_CACHE names another folder"):
        calibration.calibrate()


@pytest.mark.parametrize("budget_s", [7.0, 0.0, -1.0, float("nan")])
def test_a_calibration_in_too_little_time_is_refused(budget_s: float) -> None:
    with pytest.raises(UsageError, match="--calibrate needs 30 s and more; --budget is"):
        calibration.calibrate(budget_s=budget_s)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--threads", "0"), "takes no --threads"),
        (("--format", "int8"), "takes no --format"),
        (("--strict",), "takes no --strict"),
        (("--cold",), "takes no --cold"),
        (("--json",), "takes no --json"),
        (("--csv",), "takes no --csv"),
        (("--out", "folder"), "takes no --out"),
        (("--budget", "7", "--seed", "3"), "--calibrate needs 30 s and more; --budget is 7"),
        (("--backend", "numpy"), "--calibrate fits onnxruntime's operators, not those of 'numpy'"),
    ],
)
def test_an_option_that_a_calibration_has_not_is_refused(words: tuple[str, ...], said: str) -> None:
    ran = command("measure", "--calibrate", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())

"""What the command line says to bad input: one sentence on standard error, the exit code, and the near match."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from command import CHIP, NETWORK, TOPOLOGY, hwsim

USAGE, INPUT, HARDWARE, INTERRUPTED = 2, 3, 5, 130


def refused(code: int, *words: object) -> str:
    """Return the sentence with which `hwsim WORDS` refuses, nothing on standard output and `code` as its exit code."""
    ran = hwsim(*words)
    assert (ran.code, ran.out) == (code, ""), ran
    assert ran.err.startswith("hwsim: ")
    assert ran.err.endswith("\n")
    assert len(ran.err.splitlines()) == 1
    assert "Traceback" not in ran.err
    return ran.err.removeprefix("hwsim: ").rstrip()


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes files of a user's own into the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(**contents: str | bytes) -> None:
        for name, content in contents.items():
            path = tmp_path / name.replace("_", ".")
            path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())

    return write


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run alexnt", "no network named 'alexnt'; did you mean 'alexnet'?"),
        ("run alexnet --on systolc", "no chip named 'systolc'; did you mean 'systolic'?"),
        ("run mlp --dataflow input_stationry", "no dataflow named 'input_stationry'; did you mean 'input_stationary'?"),
        ("run alexnet --format int9", "no format named 'int9'; did you mean 'int8'?"),
        ("run alexnet --fidelity steped", "no fidelity named 'steped'; did you mean 'stepped'?"),
        ("run alexnet --like scalesim", "no tool named 'scalesim' to compare with; did you mean 'scale-sim'?"),
        ("report layer .", "no report named 'layer'; did you mean 'layers'?"),
        ("list netwrks", "no list of 'netwrks'; did you mean 'networks'?"),
        ("run alexnet:batsh=2", "network 'alexnet' has no parameter 'batsh'; did you mean 'batch'?"),
        ("run mlp --on systolic:row=3", "chip 'systolic' has no parameter 'row'; did you mean 'rows'?"),
        ("run alexnet:batch=x", "network 'alexnet': batch=x is not a whole number"),
        ("run alexnet:batch=2.5", "network 'alexnet': batch=2.5 is not a whole number"),
        ("run alexnet:grouped=maybe", "network 'alexnet': grouped=maybe is neither true nor false"),
        ("run mlp --on systolic:ifmap_kib=much", "chip 'systolic': ifmap_kib=much is not a number"),
        ("run mlp --on systolic:ifmap_kib=nan", "chip 'systolic': ifmap_kib=nan is not a number"),
        ("run alexnet:batch=1,batch=2", "parameter 'batch' of 'alexnet' is given twice"),
        ("run alexnet:batch", "parameter 'batch' of network 'alexnet' is not of the form key=value"),
        ("run alexnet:batch=1,image", "parameter 'image' of 'alexnet' is not of the form key=value"),
        ("run mlp --format int8:bits=3", "format 'int8' takes no parameters"),
        ("run mlp --pad", "network 'mlp' takes no --pad"),
        ("run mlp --json --csv", "--json and --csv both claim standard output; choose one"),
        ("run mlp --csv --sources", "--csv has no place for sources; --json and the table do"),
        ("run ./absent.onnx", "no network file 'absent.onnx'"),
        ("run absent.csv", "no network file 'absent.csv'"),
        ("run mlp --on ./absent.py", "no chip file 'absent.py'"),
        ("run ./", "network '.' is not a file"),
        ("report layers absent", "'absent' is no result folder"),
    ],
)  # fmt: skip
def test_a_wrong_name_option_or_parameter_is_a_usage_error(
    words: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(USAGE, *words.split()).startswith(sentence)


@pytest.mark.parametrize(
    ("words", "near"),
    [("rn mlp", "run"), ("run mlp --fromat int8", "--format"), ("run mlp --seed -1", "--seed"), ("run", "NETWORK")],
)
def test_a_wrong_verb_option_or_missing_argument_names_the_right_one(words: str, near: str) -> None:
    assert near in refused(USAGE, *words.split()).removeprefix(words)


def test_no_verb_at_all_prints_the_help_to_stderr() -> None:
    ran = hwsim()
    assert (ran.code, ran.out) == (USAGE, "")
    assert ran.err == hwsim("--help").out


def test_a_missing_file_names_the_one_beside_it(user: Callable[..., None]) -> None:
    user(mynet_py=NETWORK)
    assert refused(USAGE, "run", "./mynat.py") == "no network file 'mynat.py'; did you mean 'mynet.py'?"


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ("rows=0", "rows=0 must be above 0"),
        ("cols=-3", "cols=-3 must be above 0"),
        ("ifmap_kib=-1", "ifmap_kib=-1 must be above 0"),
        ("bandwidth_gb_s=0", "bandwidth_gb_s=0 must be above 0"),
        ("drain=tyle", "drain=tyle is not one of its choices; did you mean 'tile'?"),
        ("node_nm=1000", "no scaling for 1000 nm"),
    ],
)
def test_a_chip_that_cannot_be_built_is_an_input_error(parameters: str, rule: str) -> None:
    assert rule in refused(INPUT, "run", "mlp", "--on", f"systolic:{parameters}")


@pytest.mark.parametrize("parameter", ["ifmap_kib=inf", "ofmap_kib=1e-09", "clock_mhz=inf", "clock_mhz=1e-09"])
def test_a_chip_without_a_finite_size_is_an_input_error(parameter: str) -> None:
    assert parameter in refused(INPUT, "run", "mlp", "--on", f"systolic:{parameter}")


def test_a_format_that_the_chip_does_not_have_is_an_input_error(user: Callable[..., None]) -> None:
    user(mychip_py=CHIP)
    assert refused(INPUT, "run", "mlp", "--on", "./mychip.py", "--format", "bf16") == (
        "chip 'mychip' does not compute in bf16; it has int8"
    )


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def mine(:\n", "fails: SyntaxError: "),
        ("def other():\n    pass\n", "defines nothing named 'mine'"),
        ("raise RuntimeError('two\\nlines')\n", "fails in line 1: RuntimeError: two lines"),
        ("import sys\nsys.exit(0)\n", "fails in line 2: SystemExit: 0"),
        ("def mine():\n    raise ValueError('no')\n", "fails in line 2: ValueError: no"),
        ("def mine():\n    return 3\n", "returns int, not "),
        ("mine = 3\n", "is of type int, not a function"),
        ("raise RuntimeError('\\x1b[31m')\n", r"fails in line 1: RuntimeError: \x1b[31m"),
    ],
)
@pytest.mark.parametrize("words", [("run", "./mine.py"), ("run", "mlp", "--on", "./mine.py")], ids=["network", "chip"])
def test_a_users_file_that_fails_is_an_input_error(
    words: tuple[str, ...], source: str, fault: str, user: Callable[..., None]
) -> None:
    user(mine_py=source)
    sentence = refused(INPUT, *words)
    assert fault in sentence
    assert "mine.py" in sentence


def test_a_users_function_that_needs_a_parameter_says_which(user: Callable[..., None]) -> None:
    user(mine_py="def mine(depth: int):\n    return depth\n")
    assert refused(USAGE, "run", "./mine.py") == "network './mine.py' needs its parameter 'depth'"
    assert refused(INPUT, "run", "./mine.py:depth=3") == "network './mine.py' returns int, not Network"


@pytest.mark.parametrize(
    ("topology", "fault"),
    [
        (TOPOLOGY.replace(" Channels,", "").replace(" 2,", ""), "channels"),
        (TOPOLOGY.replace(" 11,", " -11,"), "'-11'"),
        (TOPOLOGY.replace(" 11,", " eleven,"), "'eleven'"),
        (TOPOLOGY.replace(" 3, 5,", " 3, 17,"), "3x17"),
        (TOPOLOGY.splitlines()[0] + "\n", "no layers"),
        ("", "empty"),
    ],
)
def test_a_malformed_topology_is_an_input_error(topology: str, fault: str, user: Callable[..., None]) -> None:
    user(mine_csv=topology)
    assert fault in refused(INPUT, "run", "mine.csv")


def conv_model(**changed: Any) -> bytes:
    """Return an ONNX file of a 3x5 convolution of (1, 2, 11, 13) to (1, 7, 9, 9), sizes changed by name."""
    onnx = pytest.importorskip("onnx", reason="onnx is needed to write ONNX files")
    from onnx import TensorProto, helper

    sizes = {"x": [1, 2, 11, 13], "w": [7, 2, 3, 5], "y": [1, 7, 9, 9], **changed}
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name]) for name in ("x", "y"))
    w = helper.make_tensor("w", TensorProto.FLOAT, sizes["w"], [0.5] * prod(sizes["w"]))
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], "graph", [x], [y], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = onnx.ModelProto.SerializeToString(model)
    return content


def test_the_onnx_file_that_the_malformed_ones_are_made_of_runs(user: Callable[..., None]) -> None:
    user(mine_onnx=conv_model())
    assert hwsim("run", "mine.onnx").code == 0


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (lambda: conv_model()[:-20], "mine.onnx"),
        (lambda: b"\x00" * 64, "mine.onnx"),
        (lambda: b"", "empty"),
        (lambda: conv_model(y=[1, 7, 11, 13]), "(1, 7, 11, 13)"),
        (lambda: conv_model(w=[7, 3, 3, 5]), "conv"),
        (lambda: conv_model(w=[7, 2, 3, 17], y=[1, 7, 9, 1]), "conv"),
    ],
    ids=["truncated", "zeros", "empty", "declared shape", "channels", "filter larger than input"],
)
def test_a_malformed_onnx_file_is_an_input_error(
    content: Callable[[], bytes], fault: str, user: Callable[..., None]
) -> None:
    user(mine_onnx=content())
    assert fault in refused(INPUT, "run", "mine.onnx")


def test_onnx_takes_no_pad(user: Callable[..., None]) -> None:
    user(mine_onnx=conv_model())
    assert refused(USAGE, "run", "mine.onnx", "--pad") == "network 'mine.onnx' takes no --pad"


@pytest.mark.parametrize("option", ["--out", "--trace"])
def test_what_cannot_be_written_is_said_after_the_answer(option: str, user: Callable[..., None]) -> None:
    user(file_txt="")
    ran = hwsim("run", "mlp", "--csv", option, "file.txt/below")
    assert (ran.code, ran.out) == (HARDWARE, hwsim("run", "mlp", "--csv").out)
    assert ran.err.startswith("hwsim: cannot write 'file.txt/below")
    assert len(ran.err.splitlines()) == 1


def test_an_interrupt_is_one_line_and_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["hwsim.simulate"], "simulate", interrupted)
    ran = hwsim("run", "mlp")
    assert (ran.code, ran.out, ran.err.strip()) == (INTERRUPTED, "", "hwsim: interrupted")


def test_a_real_interrupt_ends_the_process_so(user: Callable[..., None]) -> None:
    user(mine_py="import time\nopen('started', 'w').close()\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-m", "hwsim", "run", "./mine.py"], stdout=-1, stderr=-1) as running:
        limit = time.monotonic() + 30
        while not Path("started").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err.strip()) == (INTERRUPTED, b"", b"hwsim: interrupted")


@pytest.mark.parametrize(("words", "code"), [("run mlp", 0), ("run alexnt", USAGE), ("run mlp:batch=0", INPUT)])
def test_a_process_ends_with_the_exit_code_and_one_sentence(words: str, code: int) -> None:
    command = [sys.executable, "-m", "hwsim", *words.split()]
    found = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert found.returncode == code
    assert found.stderr.count(b"\n") == (code != 0)
    assert bool(found.stdout) == (code == 0)


@pytest.mark.parametrize("words", ["run mlp", "run mlp --json", "list"])
def test_a_reader_that_has_seen_enough_is_no_error(words: str, user: Callable[..., None]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hwsim", *words.split()]
    found = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (found.returncode, found.stderr) == (0, b"")


def test_an_unknown_chip_is_refused_before_any_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert refused(USAGE, "run", "mlp", "--on", "systolic,nochip", "--out", str(out)).startswith(
        "no chip named 'nochip'"
    )
    assert not out.exists()

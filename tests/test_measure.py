"""Measurements: the same record as a simulation, honest about noise, and one sentence for what is missing."""

from __future__ import annotations

import csv
import errno
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from measured_networks import images, sequences

from hwsim.errors import HardwareError, InputError, UsageError
from hwsim.ir import NetworkBuilder
from hwsim.measure import measure as flow
from hwsim.measure import operands, power, timing
from hwsim.measure.backend import Sample
from hwsim.measure.backends import backends, chosen
from hwsim.measure.cache import MOST_BYTES, Evictor, buffer_bytes, note
from hwsim.measure.machine import CacheLevel, Machine, listed, sized, this_machine
from hwsim.measure.record import Measurement
from hwsim.measure.threads import chosen_cpus, pinned
from hwsim.measure.timing import Collected, Series, collect, quantile
from hwsim.measured.system import cpuinfo
from hwsim.results import store
from hwsim.results.frame import NUMBERS, TEXTS
from hwsim.results.subject import subject


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return flow.measure(images(), backend="numpy", budget_s=0.2)


def test_every_layer_has_a_time_and_the_columns_of_a_simulation(measured: Measurement) -> None:
    assert [row["layer"] for row in measured.rows] == [layer.name for layer in images().layers]
    assert {*TEXTS, *NUMBERS} <= set(measured.rows[0])
    for row in measured.rows:
        assert 0 < row["seconds_p10"] <= row["seconds"] <= row["seconds_p90"]
        assert row["total_cycles"] == round(row["seconds"] * measured.clock_hz) == row["compute_cycles"]
        assert (row["repeats"], row["fused_into"]) == (len(measured.collected.samples), "")


def test_the_whole_is_timed_apart_from_its_layers(measured: Measurement) -> None:
    total = measured.total
    assert total["seconds"] == pytest.approx(sum(row["seconds"] for row in measured.rows))
    assert total["network_seconds"] == measured.whole.median_s > 0
    assert total["inferences_per_s"] == pytest.approx(2 / total["network_seconds"])


def test_a_measurement_is_a_subject_of_comparisons(measured: Measurement, tmp_path: Path) -> None:
    read = subject(json.loads(json.dumps(measured.as_dict())), "here")
    assert (read.network, read.batch, read.fidelity, read.format) == ("images", 2, "measured", "fp32")
    assert read.chip == f"cpu:{this_machine().fingerprint}"
    store.write_text(tmp_path / store.LAYERS, store.csv_text([measured]))
    with (tmp_path / store.LAYERS).open(newline="", encoding="utf-8") as file:
        assert [row["layer"] for row in csv.DictReader(file)] == list(measured.layers)


def test_a_layer_of_several_steps_has_the_time_of_all_of_them() -> None:
    found = flow.measure(sequences(), backend="numpy", budget_s=0.1)
    by_name = {row["layer"]: row["seconds"] for row in found.rows}
    assert min(by_name.values()) > 0
    assert by_name["lstm.recurrent_gates"] > by_name["lstm.sequence"] / 10


def test_cold_runs_say_what_the_caches_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwsim.measure.cache.MOST_BYTES", 1 << 20)  # 256 MiB would last longer than the layers
    found = flow.measure(sequences(), backend="numpy", budget_s=0.01, cold=True)
    assert [one for one in found.notes if one.startswith("cold: ")] == [note(this_machine())]
    assert found.inputs["parameters"]["cold"] is True


def test_what_the_machine_hides_is_said_in_one_sentence(measured: Measurement, tmp_path: Path) -> None:
    hidden = power.rapl(tmp_path)
    assert hidden.counters == ()
    assert hidden.note == (
        "energy is not measured: this system shows no RAPL counters, as virtual machines do not; energy_pj is 0"
    )


def test_a_counter_that_started_again_at_zero_still_gives_the_energy(tmp_path: Path) -> None:
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, text in {"name": "package-0\n", "max_energy_range_uj": "1000000", "energy_uj": "900000"}.items():
        (zone / name).write_text(text)
    meter = power.rapl(tmp_path)
    before = meter.read_j()
    (zone / "energy_uj").write_text("200000")
    assert meter.joules(before, meter.read_j()) == pytest.approx(0.3)  # 1.0 - 0.9 + 0.2 J


def test_energy_of_a_run_is_the_power_of_runs_in_a_row_for_its_time() -> None:
    readings = iter([5.0, 25.0])  # 20 J in 5 runs of 2 + 2 s: 1 W, and a run takes 2 s
    meter = power.Meter((power.Counter("package-0", lambda: next(readings), 100.0),))
    samples = [Sample(2.0, {"a": 0.5, "b": 1.5})] * 5
    collected, joules = flow.timed(Steady(samples), False, 1e-9, meter)
    assert len(collected.samples) == 5
    assert joules == pytest.approx(2.0)


class Steady:
    """A runner whose runs take what they are told."""

    fused: dict[str, str] = {}  # noqa: RUF012 - as the protocol has it
    notes: tuple[str, ...] = ()

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.left = list(samples)

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return runs, the first of them again once all have been."""
        return [self.left[index % len(self.left)] for index in range(count)]

    def close(self) -> None:
        """Do nothing."""


def test_quantiles_lie_between_the_values_in_proportion() -> None:
    values = [5.0, 1.0, 2.0, 3.0, 4.0]
    assert [quantile(values, fraction) for fraction in (0, 0.1, 0.5, 0.9, 1)] == pytest.approx([1, 1.4, 3, 4.6, 5])
    assert quantile([], 0.5) == 0


@pytest.mark.parametrize(
    ("seconds", "spread", "drift", "noisy"),
    [
        ((1.0,) * 10, 0.0, 0.0, False),
        ((1.0, 1.2) * 6, 0.2 / 1.1, 0.0, True),  # p90 - p10 = 0.2 of a median of 1.1
        ((1.0,) * 5 + (1.06,) * 5, 0.06 / 1.03, 0.06 / 1.03, True),  # slower in the second half
        ((1.0,) * 19 + (9.0,), 0.0, 0.0, False),  # one interruption is none
    ],
)
def test_spread_and_drift_are_noise(seconds: tuple[float, ...], spread: float, drift: float, noisy: bool) -> None:
    series = Series(seconds)
    assert [series.spread, series.drift] == pytest.approx([spread, drift])
    assert series.noisy is noisy


def test_runs_end_once_the_median_is_known_or_time_is_up() -> None:
    steady, wild = Steady([Sample(1.0, {})]), Steady([Sample(1.0 + index % 7, {}) for index in range(77)])
    assert len(collect(lambda count: steady.samples(count, False), 9.0).samples) >= 4 * timing.FEWEST
    assert len(collect(lambda count: wild.samples(count, False), 9.0).samples) == timing.MOST
    assert len(collect(lambda count: steady.samples(count, False), 1e-9).samples) == timing.FEWEST


def test_strict_refuses_a_noisy_run(monkeypatch: pytest.MonkeyPatch) -> None:
    uneven = Collected([Sample(1.0 + index % 2, dict.fromkeys(("a",), 1.0)) for index in range(20)])
    monkeypatch.setattr(flow, "timed", lambda *arguments: (uneven, 0.0))
    said = r"over 20 runs from the 10th to the 90th percentile it spreads by 67%, 10% is noise"
    assert any("spreads by 67%" in one for one in flow.measure(images(), backend="numpy").notes)
    with pytest.raises(HardwareError, match=f"'images' is refused: noisy: {said}"):
        flow.measure(images(), backend="numpy", strict=True)


def test_unknown_names_are_refused_with_the_near_match() -> None:
    with pytest.raises(UsageError, match="no backend named 'nunpy'; did you mean 'numpy'"):
        flow.measure(images(), backend="nunpy")
    with pytest.raises(UsageError, match="nothing named 'cudo' to measure on; did you mean 'cuda'"):
        flow.measure(images(), "cudo")
    with pytest.raises(UsageError, match="backend 'numpy' does not run on cuda; there are: torch"):
        flow.measure(images(), "cuda", backend="numpy")
    with pytest.raises(InputError, match="backend 'numpy' computes in fp32, not in int8"):
        flow.measure(images(), backend="numpy", format="int8")
    with pytest.raises(UsageError, match="a budget of 0 s leaves no time to run"):
        flow.measure(images(), budget_s=0)
    with pytest.raises(UsageError, match="threads cannot be pinned to the"):
        flow.measure(images(), backend="numpy", threads=99999)


def test_what_a_machine_lacks_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for (name, device), library in backends().items():
        if name == "torch":
            monkeypatch.setattr(type(library), "missing", lambda self: "torch is not installed")
        if (name, device) == ("onnxruntime", "cpu"):
            monkeypatch.setattr(library, "missing", lambda: "onnxruntime is not installed")
    with pytest.raises(HardwareError, match=r"^torch is not installed$") as raised:
        chosen("", "cuda")
    assert raised.value.exit_code == 5
    assert chosen("", "cpu")[0] == "numba"


def test_a_network_larger_than_the_memory_is_refused_before_anything_is_allocated() -> None:
    net = NetworkBuilder("huge")
    net.linear("wide", net.input("x", (1, 2**20)), 2**20)
    with pytest.raises(InputError, match=r"network 'huge' takes up to 1.32e\+04 GB of weights and activations"):
        flow.measure(net.build(), backend="numpy")  # 3 copies of 2^40 weights of 4 bytes


def test_memory_needed_counts_weights_activations_and_the_largest_unrolled_image() -> None:
    net = NetworkBuilder("one")
    net.conv("conv", net.input("x", (1, 2, 5, 5)), 3, 3)
    # 3 copies of 50 + 27 elements and 54 + 3 parameters, and 9 windows of 18
    assert operands.bytes_needed(net.build()) == 4 * (3 * (50 + 27 + 57) + 9 * 18)


def test_operators_that_are_not_simulated_are_not_run() -> None:
    net = NetworkBuilder("odd")
    net.unsupported("sorted", [net.input("x", (7,))], (7,), "TopK")
    with pytest.raises(InputError, match=r"operators that are not simulated: TopK \(1x\)"):
        flow.measure(net.build(), backend="numpy")


def test_threads_are_pinned_and_given_back() -> None:
    import numba

    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not let a process choose its processors")
    before, threads = os.sched_getaffinity(0), numba.get_num_threads()
    one = chosen_cpus(1)
    with pinned(one):
        assert os.sched_getaffinity(0) == set(one)
        assert numba.get_num_threads() == 1
    assert (os.sched_getaffinity(0), numba.get_num_threads()) == (before, threads)


def test_a_system_that_forbids_pinning_is_told_and_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(thread: int, cpus: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {0}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    with pinned((0,)) as notes:
        assert notes == ("threads are not pinned: the system says 'Operation not permitted'",)


class FakeNvml:
    """NVML of a machine whose second GPU is the one that CUDA shows."""

    NVML_ERROR_NOT_FOUND = 6

    class NVMLError(Exception):
        """What it raises."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.energy_mj = {"GPU-one": 1000, "GPU-two": 7000}

    def nvmlInit(self) -> None:
        self.calls.append("init")

    def nvmlShutdown(self) -> None:
        self.calls.append("shutdown")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in self.energy_mj:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetCount(self) -> int:
        return len(self.energy_mj)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self.energy_mj[handle]


def test_the_energy_of_a_gpu_is_that_of_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(power, "first_uuid", lambda: "GPU-two")
    with closing(power.meter("cuda")) as meter:
        assert (meter.read_j(), fake.calls) == ((7.0,), ["init"])
    assert fake.calls == ["init", "shutdown"]


@pytest.mark.parametrize("uuid", ["GPU-three", ""])
def test_a_gpu_that_nvml_cannot_tell_has_no_energy(uuid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(power, "first_uuid", lambda: uuid)
    meter = power.meter("cuda")
    assert meter.note.startswith("energy is not measured: NVML says")
    assert (meter.counters, fake.calls) == ((), ["init", "shutdown"])


def machine(**changes: Any) -> Machine:
    """Return a made-up machine."""
    made: dict[str, Any] = {
        "model": "Some CPU", "vendor": "GenuineIntel", "family": 6, "model_number": 143, "stepping": 8,
        "isa": ("avx2",), "cores": 2, "threads": 2, "cpus": (0, 1), "caches": (CacheLevel(1, "data", 48 << 10, 1),),
        "memory_bytes": 7 << 30, "clock_hz": 3_000_000_000, "hypervisor": "", "governor": "", "system": "Linux",
        "libraries": {"numpy": "2"},
    }  # fmt: skip
    return Machine(**(made | changes))


@pytest.mark.parametrize("change", [{"clock_hz": 1}, {"libraries": {}}, {"cpus": (4, 5)}, {"system": "Linux 9"}])
def test_a_fingerprint_leaves_out_what_changes_between_runs(change: dict[str, Any]) -> None:
    assert machine(**change).fingerprint == machine().fingerprint


@pytest.mark.parametrize("change", [{"cores": 1}, {"isa": ()}, {"stepping": 7}, {"caches": ()}, {"governor": "slow"}])
def test_a_fingerprint_has_what_makes_a_machine_faster(change: dict[str, Any]) -> None:
    assert machine(**change).fingerprint != machine().fingerprint


def test_this_machine_is_known_without_the_name_of_its_host() -> None:
    here = this_machine()
    assert 5e8 < here.clock_hz < 8e9
    assert here.cores <= here.threads == len(here.cpus)
    assert platform.node() not in json.dumps(here.as_dict()) or len(platform.node()) < 4
    assert len(here.fingerprint) == 10


def test_cold_buffers_are_twice_the_last_level_and_bounded() -> None:
    small, large = (machine(caches=(CacheLevel(3, "unified", size << 20, 2),)) for size in (30, 480))
    assert (buffer_bytes(small), buffer_bytes(large)) == (60 << 20, MOST_BYTES)
    assert "the last level reports 480 MiB, shared with other users" in note(large)
    assert "shared" not in note(small)
    evictor = Evictor.of_bytes(1 << 20)
    evictor.evict()
    assert evictor.buffer.sum() == (1 << 20) // 64  # one byte of each line


def test_what_linux_writes_is_read() -> None:
    assert cpuinfo("model name\t: A: B\nflags : avx2\n\nmodel name: other") == {"model name": "A: B", "flags": "avx2"}
    assert listed("0-2,5\n") == {0, 1, 2, 5}
    assert [sized(text) for text in ("48K", "2M\n", "7", "", "x")] == [49152, 2 << 20, 7, 0, 0]

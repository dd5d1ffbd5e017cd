"""Energy of a run where the machine shows it: RAPL counters of the processor, NVML of an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

POWERCAP = Path("/sys/class/powercap")

HIDDEN = "energy is not measured: {}; energy_pj is 0"


class Counter(NamedTuple):
    """An energy counter: what it returns now [J], and the value from which it starts again at 0 [J]."""

    name: str
    read_j: Callable[[], float]
    wraps_at_j: float


class Meter(NamedTuple):
    """The counters of a device, or the sentence that says why there are none; `close` gives them back."""

    counters: tuple[Counter, ...]
    note: str = ""
    close: Callable[[], None] = lambda: None

    def read_j(self) -> tuple[float, ...]:
        """Return what every counter says [J]."""
        return tuple(counter.read_j() for counter in self.counters)

    def joules(self, before: tuple[float, ...], after: tuple[float, ...]) -> float:
        """Return the energy between two readings [J] that are less than one turn of a counter apart."""
        turns = zip(self.counters, before, after, strict=True)
        return sum(spent_j(start, end, counter.wraps_at_j) for counter, start, end in turns)


def spent_j(before: float, after: float, wraps_at: float) -> float:
    """Return the energy between two readings of a counter that may have started again at 0 once."""
    return after - before if after >= before else after - before + wraps_at


def meter(device: str, folder: Path = POWERCAP) -> Meter:
    """Return the energy counters of "cpu" or "cuda", or why there are none."""
    return nvml() if device == "cuda" else rapl(folder)


def rapl(folder: Path = POWERCAP) -> Meter:
    """Return RAPL's counters of packages and memory; those of cores are part of a package's."""
    zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if _name(zone).startswith(("package", "dram"))]
    if not zones:
        return Meter((), HIDDEN.format("this system shows no RAPL counters, as virtual machines do not"))
    try:
        counters = tuple(_rapl_counter(zone) for zone in zones)
        for counter in counters:
            counter.read_j()
    except (OSError, ValueError):
        return Meter((), HIDDEN.format("reading RAPL's counters needs a permission that this user lacks"))
    return Meter(counters)


def _rapl_counter(zone: Path) -> Counter:
    wraps_at_j = float((zone / "max_energy_range_uj").read_text()) * 1e-6
    return Counter(_name(zone), lambda: float((zone / "energy_uj").read_text()) * 1e-6, wraps_at_j)


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


def nvml() -> Meter:
    """Return NVML's counter of the GPU that torch calls its first; `close` ends what it has begun."""
    try:
        import pynvml
    except ImportError:
        return Meter((), HIDDEN.format("nvidia-ml-py is not installed"))
    with ExitStack() as stack:
        try:
            pynvml.nvmlInit()
            stack.callback(pynvml.nvmlShutdown)
            gpu = _handle(pynvml, first_uuid())
            pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
        except pynvml.NVMLError as error:
            return Meter((), HIDDEN.format(f"NVML says '{error}'"))
        # 64 bits of mJ do not wrap within a lifetime
        counter = Counter("gpu", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) * 1e-3, 0.0)
        return Meter((counter,), close=stack.pop_all().close)


def _handle(pynvml: Any, uuid: str) -> Any:
    """Return NVML's handle of a GPU; its numbers are not those of CUDA, which may see fewer, in another order."""
    if uuid:
        return pynvml.nvmlDeviceGetHandleByUUID(uuid)
    if pynvml.nvmlDeviceGetCount() > 1:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
    return pynvml.nvmlDeviceGetHandleByIndex(0)


def first_uuid() -> str:
    """Return what NVML calls the first GPU of torch, "" where torch is too old to say."""
    import torch

    uuid = str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))
    return uuid if not uuid or uuid.startswith("GPU-") else f"GPU-{uuid}"

"""Runs of a network by torch, timed on the device's clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hwsim.ir.network import Network
from hwsim.measure.backend import Sample
from hwsim.measure.backends.torch_operators import Place, compute
from hwsim.measure.cache import Evictor
from hwsim.measure.layerwise import LayerwiseRunner, WallWatch
from hwsim.measure.operands import EMBEDDING, Prepared, tensors
from hwsim.measure.program import program

GPU_COLD = "cold: 128 MiB of other data pass through the GPU's cache before each run, and each layer's first step"


def runner(network: Network, type_name: str, device: str, seed: int, keep: bool = False) -> LayerwiseRunner:
    """Return `network` on `device` in torch's type of that name; with `keep` tensors stay until the end of a run."""
    place = Place(device, getattr(torch, type_name), network, Prepared(network.tensors, seed))
    indices = {layer.inputs[0] for layer in network.layers if layer.function == EMBEDDING}
    given = {
        name: [place.tensor(one) for one in value] if isinstance(value, list)
        else torch.from_numpy(value).to(device) if name in indices
        else place.tensor(value)
        for name, value in tensors(network, seed).items()
    }  # fmt: skip
    made = program(network, given, lambda layer: compute(layer, place), lambda steps: torch.stack(list(steps), 1), keep)
    if device == "cuda":
        return TorchRunner(made, watch=EventWatch(), finish=torch.cuda.synchronize, evictor=gpu_evictor)
    return TorchRunner(made, watch=WallWatch())


class TorchRunner(LayerwiseRunner):
    """Runs without the bookkeeping of gradients, and with products in full precision."""

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return `count` runs."""
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        try:
            with torch.inference_mode():
                return super().samples(count, cold)
        finally:
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.allow_tf32 = before[1]


class EventWatch:
    """Times calls on the GPU's clock: a call returns before the GPU has done it."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def start(self) -> None:
        """Forget what was timed, and wait until the GPU is idle."""
        torch.cuda.synchronize()
        self.events = []

    def before(self) -> None:
        """Put a mark behind what the GPU has been given."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self.events.append(event)

    after = before

    def seconds(self) -> list[float]:
        """Return the seconds between the marks of each call."""
        torch.cuda.synchronize()
        ends = zip(self.events[::2], self.events[1::2], strict=True)
        return [begin.elapsed_time(end) * 1e-3 for begin, end in ends]


class GpuEvictor(Evictor):
    """A buffer in the GPU's memory."""

    def evict(self) -> None:
        """Read and write the whole buffer."""
        self.buffer.add_(1)


def gpu_evictor() -> Evictor:
    """Return one that is larger than a GPU's second-level cache, which is 50 MiB at most so far."""
    return GpuEvictor(torch.zeros(128 * 2**20, dtype=torch.uint8, device="cuda"), GPU_COLD)

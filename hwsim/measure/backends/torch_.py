"""torch, on the CPU and on NVIDIA GPUs, fp32, bf16 and fp16: its own operators, one layer per call, nothing compiled.

A tensor has the shape and order that the network gives it (channels first). Products in fp32 are in fp32: TF32 is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from hwsim.formats import NumberFormat
from hwsim.ir.network import Network
from hwsim.measure.backend import Runner

TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Torch:
    """torch on a device."""

    device: str
    formats: tuple[str, ...] = tuple(TYPES)

    def missing(self) -> str:
        """Return what this machine lacks."""
        if find_spec("torch") is None:
            return "torch is not installed"
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            return "torch finds no CUDA device on this machine"
        return ""

    def prepare(self, network: Network, fmt: NumberFormat, threads: int, seed: int, keep: bool = False) -> Runner:
        """Return `network` in torch; with `keep` its tensors stay until the end of a run."""
        from hwsim.measure.backends.torch_runner import runner

        return runner(network, TYPES[fmt.name], self.device, seed, keep)


BACKENDS = (Torch("cpu"), Torch("cuda"))

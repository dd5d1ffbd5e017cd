"""What a library offers to be measured: a network made ready to run, and runs of it timed layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from hwsim.formats import NumberFormat
    from hwsim.ir.network import Network


class Sample(NamedTuple):
    """One run of a network: seconds of the whole, and of each layer by name; a fused layer has none of its own.

    `total_s` is wall time from the network's inputs to its outputs, without what timing the layers costs where the
    library can do without. It may exceed the sum of the layers: calls and changes of layout between them count.
    """

    total_s: float
    layers_s: Mapping[str, float]


class Runner(Protocol):
    """A network on seeded weights and inputs, ready to run."""

    @property
    def fused(self) -> Mapping[str, str]:
        """Layers that the library runs inside another layer's call, by name, with that layer's."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of the figures must know."""

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return `count` runs; with `cold`, all caches hold other data before each layer, or run, as `notes` say."""

    def close(self) -> None:
        """Give back files and devices."""


class Backend(Protocol):
    """What a file of `backends` offers to be named by `--backend`: the module itself, or each of its `BACKENDS`."""

    @property
    def formats(self) -> tuple[str, ...]:
        """Number formats that it computes in, the default first."""

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""

    def missing(self) -> str:
        """Return the sentence that says what this machine lacks to run it, or nothing."""

    def prepare(self, network: Network, fmt: NumberFormat, threads: int, seed: int) -> Runner:
        """Return a network ready to run.

        Raises `InputError` for a format or an operator that the library does not have.
        """

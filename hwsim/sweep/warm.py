"""What a process keeps from point to point: networks, chips, and results that more points than one have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Generic, TypeVar

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.errors import HwsimError
from hwsim.ir.network import Network
from hwsim.sweep.space import Point

DENSITIES = frozenset({"weight_density", "input_density"})

LAYER_BYTES = 2048
"""What a layer of a network takes in memory, about."""

NETWORK_BYTES = 48 * 2**20
"""Of all networks that are kept, about."""

CHIPS = 256

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key, those used last, whose sizes sum up to at most `room`; the newest is kept whatever its size."""

    def __init__(self, room: int, size: Callable[[Value], int]) -> None:
        self.room, self.size, self.used = room, size, 0
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value of `key`, if it is there."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        return None

    def put(self, key: Key, value: Value) -> Value:
        """Return `value`, kept under a `key` that has none."""
        self._values[key] = value
        self.used += self.size(value)
        while self.used > self.room and len(self._values) > 1:
            self.used -= self.size(self._values.popitem(last=False)[1])
        return value

    def clear(self) -> None:
        """Keep nothing."""
        self._values.clear()
        self.used = 0

    def __len__(self) -> int:
        return len(self._values)


def _network_bytes(network: Network) -> int:
    return LAYER_BYTES * (1 + len(network.layers)) + sum(tensor.nbytes for tensor in network.tensors.values())


_networks: Kept[tuple[str, float | None, float | None], Network] = Kept(NETWORK_BYTES, _network_bytes)


def network(spec: str, weight_density: float | None = None, input_density: float | None = None) -> Network:
    """Return the network of `spec` with these densities; raises what the catalogue and the network raise."""
    key = (spec, weight_density, input_density)
    found = _networks.get(key)
    if found is not None:
        return found
    if weight_density is None and input_density is None:
        return _networks.put(key, catalog.network(spec))
    return _networks.put(key, network(spec).with_density(weight_density, input_density))


@lru_cache(maxsize=CHIPS)
def chip(spec: str) -> Accelerator:
    """Return the chip of `spec`."""
    return catalog.chip(spec)


@lru_cache(maxsize=4096)
def densities_read(chip_spec: str, dataflow: str) -> frozenset[str]:
    """Return the densities that results on a chip depend on; none on a chip that does not exist.

    The engine says so, for dataflows of this package; one of the user's may read any.
    """
    try:
        machine = chip(chip_spec)
        place = catalog.dataflow(dataflow or machine.dataflow)
        read: frozenset[str] = getattr(catalog.engine(machine.engine), "READS_DENSITIES", DENSITIES)
    except HwsimError:
        return frozenset()
    except Exception:  # a bug is said by the points that have it
        return DENSITIES
    return read if place.__module__.startswith("hwsim.dataflows.") else DENSITIES


def is_density(value: float | None) -> bool:
    """Whether a network takes `value` as a density, None for its own."""
    return value is None or 0 < value <= 1


def without_unread(point: Point) -> Point:
    """Return the point that stands for all those with its result: densities that nothing reads are the network's own.

    Impossible ones stay, because the network refuses them whatever the chip.
    """
    weight, given = point.weight_density, point.input_density
    if (weight is None and given is None) or not (is_density(weight) and is_density(given)):
        return point
    read = densities_read(point.chip, point.dataflow)
    return point._replace(
        weight_density=weight if "weight_density" in read else None,
        input_density=given if "input_density" in read else None,
    )

"""What onnxruntime's profile says of the layers of a network: which run together, and how long each takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwsim.ir.network import Network

if TYPE_CHECKING:
    from collections.abc import Iterator


def node_runs(events: Iterable[Mapping[str, Any]]) -> Iterator[list[tuple[str, float]]]:
    """Yield of each run in a profile the names of nodes and the seconds of their kernels, in order."""
    nodes: list[tuple[str, float]] = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes.append((event["name"].removesuffix("_kernel_time"), event["dur"] * 1e-6))
        elif event.get("cat") == "Session" and event["name"] == "model_run":
            yield nodes
            nodes = []


def by_layer(nodes: Sequence[tuple[str, float]]) -> Iterator[tuple[int, float]]:
    """Yield the layer and the seconds of each node; a change of layout is that of its neighbour."""
    from .onnx_graph import layer_index

    waiting, last = 0.0, None
    for name, duration_s in nodes:
        layer = layer_index(name)
        if layer is None and last is not None and name.startswith("ReorderOutput"):
            yield last, duration_s
        elif layer is None:
            waiting += duration_s
        else:
            yield layer, duration_s + waiting
            waiting, last = 0.0, layer
    if waiting and last is not None:
        yield last, waiting


def fused_layers(network: Network, called: set[int], folded: Mapping[str, str]) -> dict[str, str]:
    """Return the layers that have no call of their own, with the one that stands for all that run together.

    A product without a call runs in that of what reads it, with all layers without one on the way there; any other
    layer in that of the last it reads. The product stands for them, else the first.
    """
    groups = _Groups(network)
    for index, layer in enumerate(network.layers):
        if layer.name in folded:
            groups.join(index, groups.place[folded[layer.name]])
        elif index not in called:
            groups.join_uncalled(index, called)
    fused: dict[str, str] = {}
    for several in groups.members():
        chief = next((i for i in several if network.layers[i].is_mac), several[0])
        fused |= {network.layers[i].name: network.layers[chief].name for i in several if i != chief}
    return fused


class _Groups:
    """Layers that run together."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.place = {layer.name: index for index, layer in enumerate(network.layers)}
        self.readers = {name: index for index, layer in enumerate(network.layers) for name in layer.inputs}
        self.group = list(range(len(network.layers)))

    def join_uncalled(self, index: int, called: set[int]) -> None:
        """Join a layer without a call with the layer in whose call it runs."""
        layer = self.network.layers[index]
        if layer.is_mac:
            on_the_way = index
            while on_the_way not in called and self.network.layers[on_the_way].name in self.readers:
                following = self.readers[self.network.layers[on_the_way].name]
                self.join(index, following)
                on_the_way = following
        elif sources := [self.place[name] for name in layer.inputs if name in self.place]:
            self.join(index, max(sources))

    def join(self, one: int, other: int) -> None:
        """Join the groups of two layers."""
        a, b = self._leader(one), self._leader(other)
        self.group[max(a, b)] = min(a, b)

    def members(self) -> Iterator[list[int]]:
        """Yield every group."""
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self.group)):
            found[self._leader(index)].append(index)
        yield from found.values()

    def _leader(self, index: int) -> int:
        while self.group[index] != index:
            index = self.group[index]
        return index

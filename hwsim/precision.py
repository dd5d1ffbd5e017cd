"""Which number format each layer of a network runs in, and the conversions between them.

`int8,conv1=fp16,fc*=bf16` is a format for all layers, then layers with one of their own by name or wildcard, later ones
before earlier ones. A tensor is stored in the format of the layer that computes it; a layer that reads it in another
reads a conversion of it, which is a layer of its own: an operator on single elements that reads words of the one width
and writes words of the other, once for all that read it so. Like any such operator it runs before results leave the
chip where nothing else reads them, and then these are stored in the new width at once. Changes of layout pass on what
they are given, and the network's inputs come in the format of each layer that reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.engine.vector import UNCOMPUTED_KINDS
from hwsim.errors import UsageError, did_you_mean
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network, Tensor

Asked = str | NumberFormat | Mapping[str, str | NumberFormat] | None
"""A format, `int8,conv1=fp16`, or the same as a mapping from names or wildcards, "" for all layers, to formats."""

CONVERT = "convert"
"""The function of a layer that converts."""


class Precision(NamedTuple):
    """The formats a network runs in: `fmt` for all layers but those of `own`, by name; `spelled` as it is asked for."""

    fmt: NumberFormat
    own: Mapping[str, NumberFormat]
    spelled: str
    notes: tuple[str, ...] = ()

    def of(self, layer: str) -> NumberFormat:
        """Return the format of `layer`."""
        return self.own.get(layer, self.fmt)


class Stored(NamedTuple):
    """A network with its conversions: the formats that layers compute in, and that tensors are stored in, by name."""

    network: Network
    computed: Mapping[str, NumberFormat]
    stored: Mapping[str, NumberFormat]

    def formats(self, fused: Mapping[str, str]) -> list[NumberFormat]:
        """Return the format of every layer, in their order, as it stores its results after what is `fused` into it."""
        last = {into: name for name, into in fused.items()}
        names = [layer.name for layer in self.network.layers]
        return [self.computed[name].stored_as(self.stored[last.get(name, name)]) for name in names]


def precision(network: Network, chip: Accelerator, asked: Asked = None, convert: bool = False) -> Precision:
    """Return the formats that `network` runs in on `chip`.

    What is not asked for is the format the network is published in if the chip has it, else the chip's first. A format
    that the chip lacks is replaced by the nearest it has with `convert`, and said; otherwise `InputError` is raised.
    `UsageError` is raised for unknown formats and layers.
    """
    wanted = {pattern: catalog.number_format(fmt) for pattern, fmt in asked_formats(asked).items()}
    published = network.format if network.format in chip.formats else ""
    wanted.setdefault("", catalog.number_format(published or chip.formats[0]))
    instead = {fmt: _on_chip(fmt, chip, convert) for fmt in wanted.values()}
    default = instead[wanted.pop("")]
    own: dict[str, NumberFormat] = {}
    for pattern, fmt in wanted.items():
        own |= dict.fromkeys(_matching(network, pattern), instead[fmt])
    if len(own) == len(network.layers) and len({fmt.name for fmt in own.values()}) == 1:
        default = next(iter(own.values()))
    own = {layer: fmt for layer, fmt in own.items() if fmt.name != default.name}
    asked_for = [f"{pattern}={instead[fmt].name}" for pattern, fmt in wanted.items()] if own else []
    notes = (_converted(fmt, got, chip) for fmt, got in instead.items() if fmt != got)
    return Precision(default, own, ",".join([default.name, *asked_for]), tuple(notes))


def asked_formats(asked: Asked) -> dict[str, str | NumberFormat]:
    """Return what is asked for as a mapping, "" for all layers without a format of their own."""
    if asked is None or asked == "":
        return {}
    if isinstance(asked, NumberFormat):
        return {"": asked}
    if isinstance(asked, Mapping):
        return dict(asked)
    found: dict[str, str | NumberFormat] = {}
    for item in asked.split(","):
        pattern, equals, name = item.rpartition("=")
        if equals and pattern.partition(":")[0] in catalog.names("format"):
            pattern, equals, name = "", "", item  # parameters, which no format takes
        if equals and not pattern.strip():
            raise UsageError(f"'{item}' of format '{asked}' names no layer; write LAYER=FORMAT")
        if not equals and "" in found:
            raise UsageError(f"format '{asked}' has two formats for all layers, '{found['']}' and '{item}'")
        found.pop(pattern.strip(), None)
        found[pattern.strip()] = name.strip()
    return found


def nearest(fmt: NumberFormat, known: Iterable[NumberFormat]) -> NumberFormat:
    """Return the format of `known` that `fmt` becomes on a chip without it.

    It is the narrowest that has all its numbers, else the narrowest of its kind with at least as many bits, else the
    widest there is, weights included; of equal ones the chip's first.
    """

    def width(one: NumberFormat) -> int:
        return one.bits + one.operand_bits("weight")

    formats = tuple(known)
    holding = [one for one in formats if one.holds(fmt)]
    as_wide = [one for one in formats if one.kind == fmt.kind and one.bits >= fmt.bits]
    if holding or as_wide:
        return min(holding or as_wide, key=width)
    return max(formats, key=width)


def chips_running(fmt: NumberFormat) -> dict[str, float]:
    """Return the multiply-accumulates per cycle in `fmt` of every chip that computes in it, with its defaults."""
    chips = {name: catalog.chip(name) for name in catalog.names("chip")}
    return {name: chip.peak_macs_per_cycle(fmt) for name, chip in chips.items() if fmt.name in chip.formats}


def with_conversions(network: Network, formats: Precision) -> Stored:
    """Return `network` with a layer for every tensor and format it is read in that it is not stored in."""
    if not formats.own:
        same = dict.fromkeys((layer.name for layer in network.layers), formats.fmt)
        return Stored(network, same, same)
    found = _Formats(network, formats)
    wanted = found.conversions()
    computed = {layer.name: found.stored.get(layer.name, formats.fmt) for layer in network.layers}
    stored, layers = dict(computed), []
    for layer in network.layers:
        layers.append(replace(layer, inputs=tuple(found.read_as(layer, name) for name in layer.inputs)))
        for fmt in wanted.get(layer.name, {}).values():
            layers.append(_conversion(layer, fmt))
            computed[layers[-1].name], stored[layers[-1].name] = computed[layer.name], fmt
    inputs = tuple(one for tensor in network.inputs for one in found.given(tensor))
    return Stored(replace(network, inputs=inputs, layers=tuple(layers)), computed, stored)


class _Formats:
    """What the tensors of a network are stored in, by name; inputs, and changes of their layout, in nothing yet.

    `states` has the layers whose results are read a step later, by the name they are read under.
    """

    def __init__(self, network: Network, formats: Precision) -> None:
        self.network, self.states = network, network.states
        self.stored = {name: formats.of(layer) for name, layer in self.states.items()}
        for layer in network.layers:
            given = {self.stored[name].name: self.stored[name] for name in layer.inputs if name in self.stored}
            if layer.kind not in UNCOMPUTED_KINDS or len(given) > 1:
                self.stored[layer.name] = formats.of(layer.name)
            elif given:
                (self.stored[layer.name],) = given.values()

    def read_as(self, layer: Layer, name: str) -> str:
        """Return the name under which `layer` finds tensor `name` in its own format."""
        home, fmt = self.states.get(name, name), self.stored.get(layer.name)
        if fmt is None or home not in self.stored or self.stored[home].name == fmt.name:
            return name
        return _renamed(name, fmt)

    def conversions(self) -> dict[str, dict[str, NumberFormat]]:
        """Return, by layer, the formats by name that its results are converted to."""
        found: dict[str, dict[str, NumberFormat]] = {}
        for layer in self.network.layers:
            for name in layer.inputs:
                if self.read_as(layer, name) != name:
                    fmt = self.stored[layer.name]
                    found.setdefault(self.states.get(name, name), {})[fmt.name] = fmt
        return found

    def given(self, tensor: Tensor) -> Iterator[Tensor]:
        """Yield an input as it is, and a state in every format it is read in, carried from the layer that gives it."""
        readers = [layer for layer in self.network.layers if tensor.name in layer.inputs]
        names = {self.read_as(layer, tensor.name): layer for layer in readers}
        if not names or tensor.name in names:
            yield tensor
        for name in [one for one in names if one != tensor.name]:
            fmt = self.stored[names[name].name]
            yield replace(tensor, name=name, carried_from=_renamed(self.states[tensor.name], fmt))


def _renamed(name: str, fmt: NumberFormat) -> str:
    return f"{name}_as_{fmt.name}"


def _conversion(layer: Layer, fmt: NumberFormat) -> Layer:
    """Return the layer that converts the results of `layer` to `fmt`, as often as they come."""
    return Layer(
        name=_renamed(layer.name, fmt),
        kind=Kind.ELEMENTWISE,
        function=CONVERT,
        inputs=(layer.name,),
        input_shapes=(layer.output_shape,),
        output_shape=layer.output_shape,
        N=layer.output_shape[0] if layer.output_shape else 1,
        steps=layer.steps,
    )


def _on_chip(fmt: NumberFormat, chip: Accelerator, convert: bool) -> NumberFormat:
    """Return `fmt`, or what it becomes on a chip without it; raises `InputError` unless that is asked for."""
    if not convert or fmt.name in chip.formats:
        chip.require_format(fmt)
        return fmt
    return nearest(fmt, map(catalog.number_format, chip.formats))


def _converted(fmt: NumberFormat, got: NumberFormat, chip: Accelerator) -> str:
    """Return the note that `got` runs instead of `fmt`, and whether it has all its numbers."""
    loss = "which has all its numbers" if got.holds(fmt) else "which does not have all its numbers"
    return f"chip '{chip.name}' does not compute in {fmt.name}: converted to {got.name}, {loss}"


def _matching(network: Network, pattern: str) -> list[str]:
    """Return the layers that `pattern` names; raises `UsageError` where there are none."""
    names = [layer.name for layer in network.layers]
    found = [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise UsageError(f"network '{network.name}' has no layer '{pattern}'{did_you_mean(pattern, names)}")
    return found

"""How far a network in its formats is from fp32: error of every layer, and how often the final choice is the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf, log10
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import counted
from hwsim.formats import NumberFormat
from hwsim.functional.calibration import Choices, sample
from hwsim.functional.forward import Values, computed, forward
from hwsim.functional.inputs import RANDOM, batches_of, described, drawn_products
from hwsim.functional.parameters import Array as Real32
from hwsim.functional.quantised import Machine, Real, Written, homes
from hwsim.ir.network import Network

Array = NDArray[Any]
Inputs = Mapping[str, Real32]
Row = dict[str, Any]

DEFAULT = Choices()

DECIMALS = 3
"""Of decibels: more say nothing, and libraries of products differ in them."""


class Agreement(NamedTuple):
    """Columns of every layer by its name, those of the whole network, and what was run, in a sentence."""

    layers: Mapping[str, Row]
    total: Row
    notes: tuple[str, ...] = ()


class Outputs(NamedTuple):
    """The results of the last layer, batch after batch: in fp32 and in the network's formats."""

    exact: Array
    found: Array


def agreement(
    network: Network,
    formats: Callable[[str], NumberFormat],
    unstored: Collection[str],
    source: str | None = None,
    calibrate_on: str | None = None,
    choices: Choices = DEFAULT,
    seed: int = 0,
) -> Agreement:
    """Return how far `network` in the `formats` of its layers is from fp32 on `source`, an .npy file or "random".

    A file may hold several batches. Results that are `unstored` are not brought to a format. Scales are found on
    `calibrate_on`, on the same inputs by default. Layers have `sqnr_db`, infinite where all values are equal, and
    `saturated_fraction`, the share of what they bring to their format that is beyond it. The whole network has
    `top1_agreement`, how often the largest result is in the same place; `top5_agreement`, how often fp32's is among
    the five largest; `compared_outputs`, how many were compared; and `output_sqnr_db`. Raises `InputError` for what
    cannot be computed or read.
    """
    inputs = batches_of(network, source or RANDOM, seed)
    seen = inputs if calibrate_on is None else batches_of(network, calibrate_on, seed)
    layers, outputs = compared(network, formats, unstored, inputs, seen, choices, seed)
    shape = network.layers[-1].output_shape
    exact, found = (_choices(one, shape) for one in outputs)
    best = exact.argmax(axis=-1)
    ranked = np.argsort(-found, axis=-1, kind="stable")
    total = {
        "top1_agreement": float((ranked[..., 0] == best).mean()),
        "top5_agreement": float((ranked[..., :5] == best[..., None]).any(axis=-1).mean()),
        "compared_outputs": int(best.size),
        "output_sqnr_db": layers[network.layers[-1].name]["sqnr_db"],
    }
    return Agreement(layers, total, _notes(network, total, source or RANDOM, calibrate_on, choices, seed))


def compared(
    network: Network,
    formats: Callable[[str], NumberFormat],
    unstored: Collection[str],
    inputs: Sequence[Inputs],
    seen: Sequence[Inputs],
    choices: Choices,
    seed: int = 0,
) -> tuple[Mapping[str, Row], Outputs]:
    """Return the columns of every layer over batches of `inputs`, and the outputs; scales are found on those `seen`."""
    samples, weights, last = _samples(network, seen, seed)
    machine = Machine(network, formats, unstored, samples, weights, choices.checked())
    powers = {layer.name: np.zeros(2) for layer in network.layers}
    outputs = []
    for batch in inputs:
        exact = last if batch is seen[-1] else forward(network, batch, seed=seed)
        found = forward(network, batch, seed=seed, compute=machine.compute)
        for name, power in powers.items():
            power += signal_and_noise(exact[name], found[name])
        final = network.layers[-1].name
        outputs.append((exact[final], found[final]))
    both = Outputs(*(np.stack(one) for one in zip(*outputs, strict=True)))
    rows = {name: _row(power, machine.written.get(name, Written())) for name, power in powers.items()}
    return rows, both


def signal_and_noise(exact: Array, found: Array) -> Array:
    """Return the sums of squares of `exact` and of its differences from `found`, where they are not the same."""
    different = exact != found
    with np.errstate(all="ignore"):
        noise = np.square(exact[different].astype(np.float64) - found[different]).sum()
        signal = np.square(exact[np.isfinite(exact)], dtype=np.float64).sum()
    return np.array([signal, noise if np.isfinite(noise) else inf])


def decibels(signal: float, noise: float) -> float:
    """Return their ratio [dB]: infinite without noise, minus infinity without a signal."""
    if noise == 0:
        return inf
    return round(10 * log10(signal / noise), DECIMALS) if signal > 0 and noise < inf else -inf


def _row(power: Array, written: Written) -> Row:
    return {
        "sqnr_db": decibels(*power.tolist()),
        "saturated_fraction": written.beyond / written.numbers if written.numbers else 0.0,
    }


def _samples(network: Network, seen: Sequence[Inputs], seed: int) -> tuple[dict[str, Array], dict[str, Array], Values]:
    """Return a sample of every tensor over batches in fp32, the real weights, and all values of the last batch."""
    found: dict[str, list[Array]] = {name: [] for name in set(homes(network).values())}
    weights: dict[str, Array] = {}
    values: Values = {}

    def noticing(layer: Any, operands: Any, whole: Network, parameters: Any) -> Any:
        return computed(layer, operands, whole, Real(parameters.tensors, parameters.seed, weights))

    for batch in seen:
        values = forward(network, batch, seed=seed, compute=noticing)
        for name, parts in found.items():
            parts.append(sample(values[name]))
    return {name: sample(np.concatenate(parts)) for name, parts in found.items()}, weights, values


def _choices(values: Array, shape: tuple[int, ...]) -> Array:
    """Return results with what is chosen among in the last dimension: the channels of images, or features."""
    return np.moveaxis(values, -3, -1) if len(shape) == 4 else values


def _notes(
    network: Network, total: Row, source: str, calibrate_on: str | None, choices: Choices, seed: int
) -> tuple[str, ...]:
    count = total["compared_outputs"]
    agreeing, on = round(total["top1_agreement"] * count), described(calibrate_on or source, seed)
    said = (
        f"values are of {described(source, seed)}, beside fp32 on the same: the largest final result is in the same "
        f"place in {agreeing} of {count}; scales of activations by {choices.scales} on {on}, of weights by "
        f"{choices.weight_scales}"
    )
    drawn = drawn_products(network)
    random = f"the weights of {counted(drawn, 'product')} are random (seed {seed}): agreement is no trained network's"
    return (said, random) if drawn else (said,)

"""The nine layers on which EIE was measured: fully connected ones of AlexNet, VGG-16 and NeuralTalk, pruned.

Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016, Table III. Each reads an input
of its own; weights and activations are random at the densities that the table prints in percent.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder
from hwsim.published import table

from ._blocks import at_least, named, one_of

SOURCE = "Han et al., ISCA 2016, Table III"
VGG6 = "VGG-6"
PRINTED_VGG6_PERCENT = 4
ALL = "all"
PRINTED = "published"


def eie_layers(
    layer: str = ALL,
    batch: int = 1,
    vgg6_percent: float = PRINTED_VGG6_PERCENT,
    weight_density: str = PRINTED,
) -> Network:
    """Return EIE's layers, or the one named as in Table III, for `batch` vectors.

    `vgg6_percent` are the weights of VGG-6 that are not zero: Table III prints 4, its theoretical time in Table IV
    implies 5. With a number as `weight_density` all layers have that one. Raises `InputError` for densities outside
    (0, 1].
    """
    rows = {row["layer"]: row for row in table("eie_table3")}
    known = {name.lower(): name for name in rows}
    one_of("eie_layers", "layer", layer, (ALL, *rows) if layer.lower() not in known else (layer,))
    at_least("eie_layers", 1, batch=batch)
    if not 0 < vgg6_percent <= 100:
        raise InputError(f"eie_layers: vgg6_percent={vgg6_percent:g} must be above 0 and at most 100")
    density = _density(weight_density)
    percent = {name: float(row["weight_density_percent"]) for name, row in rows.items()} | {VGG6: vgg6_percent}
    base = named(
        "eie_layers",
        vgg6_percent=(f"{vgg6_percent:g}", f"{PRINTED_VGG6_PERCENT}"),
        weight_density=(weight_density, PRINTED),
    )
    net, chosen = NetworkBuilder(base), rows if layer == ALL else [known[layer.lower()]]
    for name in chosen:
        x = net.input(f"{name}.input", (batch, int(rows[name]["inputs"])))
        net.linear(name, x, int(rows[name]["outputs"]), bias=False)
    network = net.build(source=SOURCE, format="codebook4")
    sparse = (
        replace(
            one,
            weight_density=density or percent[one.name] / 100,
            input_density=float(rows[one.name]["input_density_percent"]) / 100,
        )
        for one in network.layers
    )
    return replace(network, layers=tuple(sparse))


def _density(text: str) -> float | None:
    """Return the density that `text` is, None for those of Table III."""
    if text == PRINTED:
        return None
    try:
        density = float(text)
    except ValueError:
        density = 0.0
    if not 0 < density <= 1:
        raise InputError(f"eie_layers: weight_density={text} must be '{PRINTED}', or above 0 and at most 1")
    return density

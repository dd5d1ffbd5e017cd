"""Vision Transformer: an image as a sequence of patches, classified by a Transformer encoder.

Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale", ICLR 2021, Eq. 1 to 4
and Table 1; the head is the single layer of torchvision and of the paper's fine-tuning.
"""

from __future__ import annotations

from typing import NamedTuple

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder

from ._attention import FIRST, feed_forward, projected_together, residual
from ._blocks import at_least, images, named, one_of

SOURCE = "Dosovitskiy et al., ICLR 2021, Table 1"


class Size(NamedTuple):
    """A row of Table 1: layers, hidden size D, MLP size, heads."""

    layers: int
    width: int
    hidden: int
    heads: int


SIZES = {"base": Size(12, 768, 3072, 12), "large": Size(24, 1024, 4096, 16), "huge": Size(32, 1280, 5120, 16)}


def vit(size: str = "base", patch: int = 16, image: int = 224, batch: int = 1, classes: int = 1000) -> Network:
    """Return ViT on `batch` images (N, 3, image, image) cut into squares of `patch` pixels: ViT-B/16 by default.

    The class token and the positions, which are learned, are looked up in tables of one row each and one per token.
    Raises `InputError` for an unknown size, sizes below 1, and images that patches do not fill.
    """
    one_of("vit", "size", size, tuple(SIZES))
    at_least("vit", 1, patch=patch, image=image, batch=batch, classes=classes)
    if image % patch:
        raise InputError(f"vit: patches of {patch} do not fill an image of {image}")
    net = NetworkBuilder(named(f"vit_{size[0]}{patch}", image=(image, 224), classes=(classes, 1000)))
    x = _tokens(net, images(net, batch, image), patch, SIZES[size].width)
    for index in range(1, SIZES[size].layers + 1):
        x = _layer(net, f"layer{index}", x, SIZES[size])
    x = net.normalisation("norm", x, "layer")
    first = net.layout("first_token", x, (batch, 1, SIZES[size].width), "from0")
    net.softmax("softmax", net.linear("head", net.flatten("class", first), classes))
    return net.build(source=SOURCE)


def _tokens(net: NetworkBuilder, x: str, patch: int, width: int) -> str:
    """Add the projection of the patches, behind the class token, and the positions (Eq. 1)."""
    x = net.conv("patches", x, width, patch, stride=patch)
    batch, _, rows, cols = net.shape_of(x)
    x = net.transpose("patches.by_token", net.reshape("patches.row", x, (batch, width, rows * cols)), (0, 2, 1))
    first = net.embedding("class_token", net.input("class_id", (batch, 1)), 1, width)
    x = net.concatenation("tokens", first, x, axis=1)
    tokens = net.shape_of(x)[1]
    return net.elementwise(
        "embedded", x, net.embedding("positions", net.input("position_ids", (1, tokens)), tokens, width)
    )


def _layer(net: NetworkBuilder, name: str, x: str, size: Size) -> str:
    """Add Eq. 2 and 3, normalisation in front."""
    attention, mlp = f"{name}.attention", f"{name}.mlp"
    x = residual(net, attention, x, lambda y: projected_together(net, attention, y, size.heads), FIRST)
    return residual(net, mlp, x, lambda y: feed_forward(net, mlp, y, size.hidden, "gelu"), FIRST)

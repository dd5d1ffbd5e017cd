"""The Transformer: an encoder and a decoder of attention and feed-forward layers, for translation.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser & Polosukhin, "Attention is all you need", NIPS 2017, Fig. 1
and Table 3. Projections have biases, as in the authors' code of that time and in torch.nn.
"""

from __future__ import annotations

from typing import NamedTuple

from hwsim.ir import Network, NetworkBuilder

from ._attention import CAUSAL_NOTE, LAST, feed_forward, projected, require_heads, residual
from ._blocks import at_least, named, one_of

SOURCE = "Vaswani et al., Attention is all you need, NIPS 2017, Fig. 1 and Table 3"
NOTES = (
    "the whole target is given (teacher forcing), so that all its tokens are computed together",
    CAUSAL_NOTE,
    "the table of both languages' tokens is the matrix of the prediction too (Sec. 3.4); the factor sqrt(width) on "
    "what is looked up is not counted, positions are an input",
    "Sec. 5.1 has about 37000 tokens, with which base has 63.1M and big 214.2M parameters; Table 3 prints 65M and "
    "213M, which about 41000 and 36000 tokens would give",
)
TOKENS = 37000
"""Byte-pair tokens that English and German share (Sec. 5.1)."""

TABLE = ("tokens.weight",)
"""The one table of the network (Sec. 3.4)."""


class Size(NamedTuple):
    """A row of Table 3: layers N, d_model, d_ff, heads h and the size of their keys d_k."""

    layers: int
    width: int
    hidden: int
    heads: int
    key_size: int


SIZES = {"base": Size(6, 512, 2048, 8, 64), "big": Size(6, 1024, 4096, 16, 64)}


def transformer(
    size: str = "base",
    source: int = 30,
    target: int = 30,
    batch: int = 1,
    vocabulary: int = TOKENS,
    layers: int = 0,
    width: int = 0,
    hidden: int = 0,
    heads: int = 0,
    key_size: int = 0,
) -> Network:
    """Return the Transformer on `batch` sentences of `source` tokens and translations of `target`.

    `layers` of the encoder and as many of the decoder, `width` (d_model), `hidden` (d_ff), `heads` and `key_size` are
    the size's own where they are 0; a changed width or number of heads changes the size of each.
    Raises `InputError` for an unknown size, sizes below 1, and heads that do not share the width.
    """
    one_of("transformer", "size", size, tuple(SIZES))
    at_least("transformer", 1, source=source, target=target, batch=batch, vocabulary=vocabulary)
    at_least("transformer", 0, layers=layers, width=width, hidden=hidden, heads=heads, key_size=key_size)
    chosen = _chosen(SIZES[size], layers, width, hidden, heads, key_size)
    changed = {key: (value, own) for key, value, own in zip(Size._fields, chosen, SIZES[size], strict=True)}
    lengths = {"source": (source, 30), "target": (target, 30), "vocabulary": (vocabulary, TOKENS)}
    net = NetworkBuilder(named(f"transformer_{size}", **lengths, **changed))
    x = memory = _embedded(net, "source", (batch, source), vocabulary, chosen.width, tied=False)
    for index in range(1, chosen.layers + 1):
        x = memory = _encoder_layer(net, f"encoder{index}", x, chosen)
    x = _embedded(net, "target", (batch, target), vocabulary, chosen.width, tied=True)
    mask = net.input("mask", (target, target))
    for index in range(1, chosen.layers + 1):
        x = _decoder_layer(net, f"decoder{index}", x, memory, mask, chosen)
    net.softmax("softmax", net.linear("logits", x, vocabulary, bias=False, weights=TABLE, tied=True))
    return net.build(source=SOURCE, notes=NOTES)


def _chosen(size: Size, layers: int, width: int, hidden: int, heads: int, key_size: int) -> Size:
    """Return the size with what is not 0 changed."""
    wide, many = width or size.width, heads or size.heads
    require_heads("transformer", wide, many)
    return Size(layers or size.layers, wide, hidden or size.hidden, many, key_size or wide // many)


def _embedded(
    net: NetworkBuilder, side: str, sentences: tuple[int, int], vocabulary: int, width: int, tied: bool
) -> str:
    """Add the look-up of one side's tokens, and their positions' sinusoids (Sec. 3.5)."""
    ids = net.input(f"{side}_ids", sentences)
    x = net.embedding(f"{side}_tokens", ids, vocabulary, width, weights=TABLE, tied=tied)
    return net.elementwise(f"{side}_embedded", x, net.input(f"{side}_positions", (sentences[1], width)))


def _encoder_layer(net: NetworkBuilder, name: str, x: str, size: Size) -> str:
    x = _attention(net, f"{name}.attention", x, "", size)
    return _feed_forward(net, f"{name}.feed_forward", x, size)


def _decoder_layer(net: NetworkBuilder, name: str, x: str, memory: str, mask: str, size: Size) -> str:
    x = _attention(net, f"{name}.self_attention", x, "", size, mask)
    x = _attention(net, f"{name}.cross_attention", x, memory, size)
    return _feed_forward(net, f"{name}.feed_forward", x, size)


def _attention(net: NetworkBuilder, name: str, x: str, memory: str, size: Size, mask: str = "") -> str:
    """Add attention to `memory`, or of `x` to itself without one."""

    def attended(y: str) -> str:
        return projected(net, name, y, memory or y, size.heads, key_size=size.key_size, mask=mask)

    return residual(net, name, x, attended, LAST)


def _feed_forward(net: NetworkBuilder, name: str, x: str, size: Size) -> str:
    return residual(net, name, x, lambda y: feed_forward(net, name, y, size.hidden, "relu"), LAST)

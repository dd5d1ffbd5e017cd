"""BERT: a stack of Transformer encoder layers that reads a text in both directions.

Devlin, Chang, Lee & Toutanova, "BERT: pre-training of deep bidirectional transformers for language understanding",
NAACL 2019, Sec. 3; vocabulary, tables and heads as in the authors' code (google-research/bert) and Hugging Face's.
"""

from __future__ import annotations

from typing import NamedTuple

from hwsim.ir import Network, NetworkBuilder

from ._attention import LAST, at_most, feed_forward, projected, residual
from ._blocks import at_least, named, one_of

SOURCE = "Devlin et al., BERT, NAACL 2019, Sec. 3"
POSITIONS, SEGMENTS = 512, 2


class Size(NamedTuple):
    """Layers L, hidden size H and attention heads A, in the letters of Sec. 3; feed-forward parts have 4 H."""

    layers: int
    width: int
    heads: int


SIZES = {"base": Size(12, 768, 12), "large": Size(24, 1024, 16)}
HEADS = ("pooler", "mlm", "none")


def bert(
    size: str = "base", length: int = 128, batch: int = 1, head: str = "pooler", vocabulary: int = 30522
) -> Network:
    """Return BERT on `batch` texts of `length` tokens (N, length), without padding, so that no mask is needed.

    `head` is "pooler", a tanh layer on the first token (Hugging Face's BertModel), "mlm", the prediction of every
    token with the table of the tokens as its matrix (BertForMaskedLM), or "none".
    Raises `InputError` for unknown sizes and heads, sizes below 1, and texts of more than 512 tokens.
    """
    one_of("bert", "size", size, tuple(SIZES))
    one_of("bert", "head", head, HEADS)
    at_least("bert", 1, length=length, batch=batch, vocabulary=vocabulary)
    at_most("bert", POSITIONS, length=length)
    base = f"bert_{size}" if head == HEADS[0] else f"bert_{size}_{head}"
    net = NetworkBuilder(named(base, length=(length, 128), vocabulary=(vocabulary, 30522)))
    x = _embeddings(net, length, batch, vocabulary, SIZES[size].width)
    for index in range(1, SIZES[size].layers + 1):
        x = _layer(net, f"layer{index}", x, SIZES[size])
    if head == "pooler":
        _pooler(net, x)
    elif head == "mlm":
        _masked_language_model(net, x, vocabulary)
    return net.build(source=SOURCE)


def _embeddings(net: NetworkBuilder, length: int, batch: int, vocabulary: int, width: int) -> str:
    """Add the sum of three look-ups, of tokens, positions and segments, normalised (Fig. 2)."""
    tokens = net.embedding("tokens", net.input("token_ids", (batch, length)), vocabulary, width)
    positions = net.embedding("positions", net.input("position_ids", (1, length)), POSITIONS, width)
    segments = net.embedding("segments", net.input("segment_ids", (batch, length)), SEGMENTS, width)
    return net.normalisation("embeddings_norm", net.elementwise("embeddings", tokens, positions, segments), "layer")


def _layer(net: NetworkBuilder, name: str, x: str, size: Size) -> str:
    attention, words = f"{name}.attention", f"{name}.feed_forward"
    x = residual(net, attention, x, lambda y: projected(net, attention, y, y, size.heads), LAST)
    return residual(net, words, x, lambda y: feed_forward(net, words, y, 4 * size.width, "gelu"), LAST)


def _pooler(net: NetworkBuilder, x: str) -> str:
    batch, _, width = net.shape_of(x)
    first = net.reshape("first", net.layout("first_token", x, (batch, 1, width), "from0"), (batch, width))
    return net.activation("pooler_tanh", net.linear("pooler", first, width), "tanh")


def _masked_language_model(net: NetworkBuilder, x: str, vocabulary: int) -> str:
    x = net.activation("transform_gelu", net.linear("transform", x, net.shape_of(x)[-1]), "gelu")
    x = net.normalisation("transform_norm", x, "layer")
    return net.softmax(
        "softmax", net.linear("decoder", x, vocabulary, weights=("tokens.weight", "decoder.bias"), tied=True)
    )

"""GPT-2: a Transformer decoder that continues a text, in its two phases.

Radford, Wu, Child, Luan, Amodei & Sutskever, "Language models are unsupervised multitask learners", OpenAI 2019, Sec.
2.3 and Table 2; tables and heads as in the authors' code (openai/gpt-2) and Hugging Face's GPT2LMHeadModel.
"""

from __future__ import annotations

from typing import NamedTuple

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder

from ._attention import CAUSAL_NOTE, FIRST, at_most, feed_forward, projected_together, residual
from ._blocks import at_least, named, one_of

SOURCE = "Radford et al., OpenAI 2019, Table 2"
POSITIONS, HEAD_SIZE = 1024, 64
PREFILL, DECODE = "prefill", "decode"
GELU_NOTE = "feed-forward parts have the exact GELU; the authors' code approximates it by tanh"


class Size(NamedTuple):
    """A row of Table 2: layers and width; heads are of 64."""

    layers: int
    width: int


SIZES = {"small": Size(12, 768), "medium": Size(24, 1024), "large": Size(36, 1280), "xl": Size(48, 1600)}


def gpt2(
    phase: str = PREFILL,
    size: str = "small",
    length: int = 0,
    past: int = 0,
    batch: int = 1,
    last_only: bool = False,
    vocabulary: int = 50257,
) -> Network:
    """Return GPT-2 on `length` tokens (N, length) of each of `batch` texts.

    In the phase "prefill" it reads a prompt, of 1024 tokens by default, and every one of them attends to those before
    it. In "decode" it reads the one token that it has given last (or `length`, as in speculative decoding), whose
    `past` tokens, 1023 by default, are there as keys and values: inputs read from memory. New keys and values are
    results in both. `last_only` predicts what follows the last token alone, as a prompt needs; otherwise every token.
    Raises `InputError` for an unknown phase or size, sizes below 1, and more than 1024 tokens altogether.
    """
    one_of("gpt2", "phase", phase, (PREFILL, DECODE))
    one_of("gpt2", "size", size, tuple(SIZES))
    at_least("gpt2", 0, length=length, past=past)
    at_least("gpt2", 1, batch=batch, vocabulary=vocabulary)
    length, past = _tokens(phase, length, past)
    base = f"gpt2_{size}_{phase}" + ("_last" if last_only else "")
    changed = {"length": (length, _tokens(phase, 0, 0)[0]), "past": (past, _tokens(phase, length, 0)[1])}
    net = NetworkBuilder(named(base, **changed, vocabulary=(vocabulary, 50257)))
    x = _embeddings(net, length, batch, vocabulary, SIZES[size].width)
    mask = net.input("mask", (length, past + length)) if length > 1 else ""
    for index in range(1, SIZES[size].layers + 1):
        x = _layer(net, f"layer{index}", x, past, mask)
    _predict(net, x, last_only, vocabulary)
    return net.build(source=SOURCE, notes=(*([CAUSAL_NOTE] if mask else []), GELU_NOTE))


def _tokens(phase: str, length: int, past: int) -> tuple[int, int]:
    """Return how many tokens are read and how many are there already, by default as many as there are positions."""
    if phase == PREFILL:
        if past:
            raise InputError(f"gpt2: past={past} tokens are of phase={DECODE}; a prompt has none")
        at_most("gpt2", POSITIONS, length=length)
        return length or POSITIONS, 0
    length = length or 1
    at_most("gpt2", POSITIONS - 1, length=length)
    at_most("gpt2", POSITIONS - length, past=past)
    return length, past or POSITIONS - length


def _embeddings(net: NetworkBuilder, length: int, batch: int, vocabulary: int, width: int) -> str:
    tokens = net.embedding("tokens", net.input("token_ids", (batch, length)), vocabulary, width)
    positions = net.embedding("positions", net.input("position_ids", (1, length)), POSITIONS, width)
    return net.elementwise("embeddings", tokens, positions)


def _layer(net: NetworkBuilder, name: str, x: str, past: int, mask: str) -> str:
    """Add a layer with normalisation in front of both parts (Sec. 2.3)."""
    batch, _, width = net.shape_of(x)
    attention, mlp, heads = f"{name}.attention", f"{name}.mlp", width // HEAD_SIZE
    cache = None
    if past:
        shape = (batch, heads, past, HEAD_SIZE)
        cache = net.input(f"{name}.past_keys", shape), net.input(f"{name}.past_values", shape)
    x = residual(
        net,
        attention,
        x,
        lambda y: projected_together(net, attention, y, heads, mask=mask, past=cache, cached=True),
        FIRST,
    )
    return residual(net, mlp, x, lambda y: feed_forward(net, mlp, y, 4 * width, "gelu"), FIRST)


def _predict(net: NetworkBuilder, x: str, last_only: bool, vocabulary: int) -> str:
    """Add the last normalisation and the logits, whose matrix is the table of the tokens."""
    x = net.normalisation("norm", x, "layer")
    batch, length, width = net.shape_of(x)
    if last_only and length > 1:
        x = net.layout("last_token", x, (batch, 1, width), f"from{length - 1}")
    x = net.linear("logits", x, vocabulary, bias=False, weights=("tokens.weight",), tied=True)
    return net.softmax("softmax", x)

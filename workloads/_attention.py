"""What the networks with attention share: heads, the two products between them, feed-forward parts, residuals.

Vaswani et al., "Attention is all you need", NIPS 2017, Sec. 3. The factor 1 / sqrt(head size) is one of the queries'
projection and no layer of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from hwsim.errors import InputError
from hwsim.ir import NetworkBuilder

CAUSAL_NOTE = (
    "causal attention is computed in full: products of queries with later keys count, and a mask of minus infinity, an "
    "input, is added to them"
)

FIRST, LAST = "before", "after"
"""Where a residual block normalises: what its function reads, or the sum behind it."""


def product_attention(
    net: NetworkBuilder, queries: str, keys_transposed: str, values: str, *, prefix: str = "", mask: str = ""
) -> str:
    """Add softmax(Q K' + mask) V for queries (..., L, size), keys transposed (..., size, M), values (..., M, any)."""
    scores = net.matmul(f"{prefix}scores", queries, keys_transposed)
    if mask:
        scores = net.elementwise(f"{prefix}masked", scores, mask)
    return net.matmul(f"{prefix}attended", net.softmax(f"{prefix}softmax", scores), values)


def attend(
    net: NetworkBuilder,
    name: str,
    queries: str,
    keys: str,
    values: str,
    heads: int,
    *,
    mask: str = "",
    past: tuple[str, str] | None = None,
    cached: bool = False,
) -> str:
    """Add attention of `heads` heads on projected sequences (N, L, heads x size); return (N, L, heads x size).

    `past` are keys and values of earlier tokens (N, heads, past, size), in front of those given. With `cached` the
    keys and values given are results of the network, for later tokens.
    """
    q, k, v = (split_heads(net, one, heads) for one in (queries, keys, values))
    if cached:
        for one in (k, v):
            net.layout(f"{one}.cached", one, net.shape_of(one), "identity")
    if past is not None:
        k, v = (
            net.concatenation(f"{name}.{part}", *pair, axis=2)
            for part, pair in (("keys", (past[0], k)), ("values", (past[1], v)))
        )
    transposed = net.transpose(f"{name}.keys_transposed", k, (0, 1, 3, 2))
    y = net.transpose(
        f"{name}.by_token", product_attention(net, q, transposed, v, prefix=f"{name}.", mask=mask), (0, 2, 1, 3)
    )
    batch, length, *_ = net.shape_of(y)
    return net.reshape(f"{name}.joined", y, (batch, length, -1))


def split_heads(net: NetworkBuilder, x: str, heads: int) -> str:
    """Return (N, L, heads x size) as (N, heads, L, size)."""
    batch, length, _ = net.shape_of(x)
    return net.transpose(f"{x}.by_head", net.reshape(f"{x}.heads", x, (batch, length, heads, -1)), (0, 2, 1, 3))


def projected(
    net: NetworkBuilder,
    name: str,
    x: str,
    memory: str,
    heads: int,
    *,
    key_size: int = 0,
    mask: str = "",
) -> str:
    """Add multi-head attention of `x` (N, L, width) to `memory`, with a projection each for Q, K, V and the result.

    The heads share the width, in values always, in queries and keys unless `key_size` says how large theirs are.
    """
    width = net.shape_of(x)[-1]
    inner = heads * key_size or width
    q, k, v = (
        net.linear(f"{name}.{part}", source, features)
        for part, source, features in (("query", x, inner), ("key", memory, inner), ("value", memory, width))
    )
    return net.linear(f"{name}.output", attend(net, name, q, k, v, heads, mask=mask), width)


def projected_together(
    net: NetworkBuilder,
    name: str,
    x: str,
    heads: int,
    *,
    mask: str = "",
    past: tuple[str, str] | None = None,
    cached: bool = False,
) -> str:
    """Add multi-head attention of `x` (N, L, width) to itself, with one projection for Q, K and V together."""
    batch, length, width = net.shape_of(x)
    together = net.linear(f"{name}.qkv", x, 3 * width)
    q, k, v = (
        net.layout(f"{name}.{part}", together, (batch, length, width), f"slice{index}")
        for index, part in enumerate(("query", "key", "value"))
    )
    y = attend(net, name, q, k, v, heads, mask=mask, past=past, cached=cached)
    return net.linear(f"{name}.output", y, width)


def feed_forward(net: NetworkBuilder, name: str, x: str, hidden: int, function: str) -> str:
    """Add two fully connected layers on each token, with a function between them."""
    inner = net.activation(f"{name}.{function}", net.linear(f"{name}.up", x, hidden), function)
    return net.linear(f"{name}.down", inner, net.shape_of(x)[-1])


def residual(net: NetworkBuilder, name: str, x: str, function: Callable[[str], str], norm: str) -> str:
    """Add x + f(norm(x)), or norm(x + f(x)) where the `norm` is "after"."""
    if norm == FIRST:
        return net.elementwise(f"{name}.add", function(net.normalisation(f"{name}.norm", x, "layer")), x)
    return net.normalisation(f"{name}.norm", net.elementwise(f"{name}.add", function(x), x), "layer")


def require_heads(family: str, width: int, heads: int) -> None:
    """Raise `InputError` where `heads` do not share `width` evenly."""
    if width % heads:
        raise InputError(f"{family}: {heads} heads do not share a width of {width}")


def at_most(family: str, maximum: int, **sizes: int) -> None:
    """Raise `InputError` for the first of `sizes` above `maximum`."""
    for name, size in sizes.items():
        if size > maximum:
            raise InputError(f"{family}: {name}={size} must be at most {maximum}")

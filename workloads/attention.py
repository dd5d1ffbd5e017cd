"""Scaled dot-product attention of several heads: what stands between the projections of a Transformer's layer.

Vaswani et al., "Attention is all you need", NIPS 2017, Eq. 1; the default is that of BERT-base (Devlin et al., NAACL
2019, Sec. 3): 12 heads of 64 on 512 tokens.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._attention import product_attention
from ._blocks import at_least, named

SOURCE = "Vaswani et al., Attention is all you need, NIPS 2017, Eq. 1; default sizes: Devlin et al., BERT, NAACL 2019"


def attention(batch: int = 1, length: int = 512, heads: int = 12, head_size: int = 64) -> Network:
    """Return softmax(Q K' / sqrt(head_size)) V on `batch` sequences, every token attending to all `length` of them.

    Inputs are queries and values (N, heads, length, head_size) and keys transposed, (N, heads, head_size, length); the
    factor 1 / sqrt(head_size) is one of the queries' projection, which is not among the layers.
    Raises `InputError` for sizes below 1.
    """
    at_least("attention", 1, batch=batch, length=length, heads=heads, head_size=head_size)
    net = NetworkBuilder(named("attention", length=(length, 512), heads=(heads, 12), head_size=(head_size, 64)))
    queries, values = (net.input(name, (batch, heads, length, head_size)) for name in ("queries", "values"))
    product_attention(net, queries, net.input("keys_transposed", (batch, heads, head_size, length)), values)
    return net.build(source=SOURCE)

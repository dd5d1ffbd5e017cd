"""DeepBench: matrix products, convolutions and recurrent layers of networks in use at Baidu and elsewhere, one by one.

baidu-research/DeepBench, training benchmark, the shapes for which results of NVIDIA's Titan X and V100 are kept there.
A product of A (M, K) by B (K, N) is that of N vectors by the weights A. Recurrent layers leave out the products of
their inputs, "since it can be calculated as one large multiply" (README), so that these are given.
"""

from __future__ import annotations

from collections.abc import Callable

from hwsim.errors import InputError, did_you_mean
from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import CELLS, recurrent
from hwsim.published import table

from ._blocks import at_least

SOURCE = "baidu-research/DeepBench@da81ba78 (Apache-2.0), training benchmark"
ALL = "all"
NOTES = {
    "rnn": "DeepBench has ReLU in vanilla recurrent layers; tanh is computed here",
    "gru": "DeepBench has ReLU as the GRU's output function; tanh is computed here",
}


def deepbench(shape: str = "gemm_1760x128x1760_nn", batch: int = 0) -> Network:
    """Return the shape named as in the table, all of one kind (gemm, conv, rnn, lstm, gru), or "all" of them.

    Names: gemm_MxNxK and which of A and B are transposed, conv_WxHxCxN_filters x width x height with padding and
    stride, and cell_units x batch x steps. Each reads an input of its own; `batch` is DeepBench's N where it is 0.
    Raises `InputError` for an unknown shape and a batch below 0.
    """
    at_least("deepbench", 0, batch=batch)
    rows = {row["name"]: row for row in table("deepbench_shapes")}
    chosen = [row for name, row in rows.items() if shape.lower() in (name, row["kind"], ALL)]
    if not chosen:
        near = did_you_mean(shape, rows) or f"; all of a kind are {', '.join(BUILDERS)}, or {ALL}"
        raise InputError(f"deepbench: no shape '{shape}'{near}")
    kinds = {row["kind"] for row in chosen}
    net = NetworkBuilder(f"deepbench_{shape.lower()}" + (f"_batch{batch}" if batch else ""))
    for row in chosen:
        BUILDERS[row["kind"]](net, row, batch or int(row["N"]))
    return net.build(source=SOURCE, notes=[note for kind, note in NOTES.items() if kind in kinds])


def _product(net: NetworkBuilder, row: dict[str, str], batch: int) -> None:
    x = net.input(f"{row['name']}.vectors", (batch, int(row["K"])))
    net.linear(row["name"], x, int(row["M"]), bias=False)


def _convolution(net: NetworkBuilder, row: dict[str, str], batch: int) -> None:
    x = net.input(f"{row['name']}.images", (batch, *(int(row[key]) for key in ("C", "H", "W"))))
    kernel, stride, padding = (
        (int(row[f"{what}{end[0]}"]), int(row[f"{what}{end[1]}"]))
        for what, end in (("filter_", ("height", "width")), ("stride_", "hw"), ("pad_", "hw"))
    )
    net.conv(row["name"], x, int(row["filters"]), kernel, stride=stride, padding=padding, bias=False)


def _recurrent(net: NetworkBuilder, row: dict[str, str], batch: int) -> None:
    cell, hidden = row["kind"], int(row["hidden"])
    gates, _ = CELLS[cell]
    x = net.input(f"{row['name']}.input_gates", (batch, int(row["steps"]), gates * hidden))
    recurrent(net, row["name"], x, hidden, cell=cell, biases=0, given_products=True)


BUILDERS: dict[str, Callable[[NetworkBuilder, dict[str, str], int], None]] = {
    "gemm": _product,
    "conv": _convolution,
    **dict.fromkeys(CELLS, _recurrent),
}
"""What adds a shape of each kind to a network."""

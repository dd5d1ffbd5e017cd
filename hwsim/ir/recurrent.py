"""Recurrent cells lowered to matrix products and vector operations that keep their order in time.

The products of all inputs do not depend on each other and are one matrix product over all steps; the products of the
state run step by step. Parameters are counted as PyTorch and cuDNN do, with two bias vectors per gate (`biases=2`), or
as ONNX writes them; Keras has one.
"""

from __future__ import annotations

from hwsim.errors import InputError
from hwsim.ir.builder import NetworkBuilder


def recurrent(
    net: NetworkBuilder,
    name: str,
    x: str,
    hidden: int,
    *,
    cell: str = "lstm",
    biases: int = 2,
    bidirectional: bool = False,
    weights: tuple[str, ...] = (),
    reverse: bool = False,
    given_products: bool = False,
) -> str:
    """Add one recurrent layer over a sequence (N, steps, features); return the sequence (N, steps, hidden).

    `cell` is "lstm", "gru" or "rnn"; a bidirectional layer joins both directions to (N, steps, 2 hidden), `reverse`
    runs from the last step to the first. With `given_products` the sequence is that of the products of the inputs,
    (N, steps, gates x hidden), and only what follows is added.
    """
    if cell not in CELLS:
        raise InputError(f"layer '{name}': no recurrent cell '{cell}'; there are: {', '.join(CELLS)}")
    if len(net.shape_of(x)) != 3:
        raise InputError(f"layer '{name}' needs a sequence (N, steps, features), but '{x}' has shape {net.shape_of(x)}")
    if not bidirectional:
        return _direction(net, name, x, hidden, cell, biases, weights, reverse, given_products)
    forward = _direction(net, f"{name}.forward", x, hidden, cell, biases, weights, False, given_products)
    backward = _direction(net, f"{name}.reverse", x, hidden, cell, biases, weights, True, given_products)
    return net.concatenation(f"{name}.both", forward, backward, axis=2)


def _direction(
    net: NetworkBuilder,
    name: str,
    x: str,
    hidden: int,
    cell: str,
    biases: int,
    weights: tuple[str, ...],
    reverse: bool,
    given_products: bool,
) -> str:
    prefix = "reversed_" if reverse else ""
    batch, steps, _ = net.shape_of(x)
    gates, step = CELLS[cell]
    if not given_products:
        x = net.linear(f"{name}.input_gates", x, gates * hidden, bias=biases > 0, weights=weights[:1])
    net.layout(f"{name}.step", x, (batch, gates * hidden), f"{prefix}step", steps=steps)
    net.state(f"{name}.state", (batch, hidden))
    net.linear(
        f"{name}.recurrent_gates", f"{name}.state", gates * hidden, bias=biases > 1, steps=steps, weights=weights[1:2]
    )
    output = step(net, name, f"{name}.step", f"{name}.recurrent_gates", steps)
    net.carry(f"{name}.state", output)
    return net.layout(f"{name}.sequence", output, (batch, steps, hidden), f"{prefix}stack")


def lstm_step(net: NetworkBuilder, name: str, given: str, carried: str, steps: int) -> str:
    """Add one step of an LSTM cell, c' = f c + i g and h' = o tanh(c'), with its cell state; return h'.

    i, f, o = sigmoid and g = tanh of the gate sums, `given` by the inputs and `carried` by the states, (N, 4 hidden).
    """
    total = net.elementwise(f"{name}.gates", given, carried, steps=steps)
    i, f, o = (
        _gate(net, name, total, letter, index, 4, "sigmoid", steps) for letter, index in (("i", 0), ("f", 1), ("o", 3))
    )
    g = _gate(net, name, total, "g", 2, 4, "tanh", steps)
    cell = net.state(f"{name}.cell_state", net.shape_of(i))
    kept = net.elementwise(f"{name}.keep", f, cell, function="multiply", steps=steps)
    written = net.elementwise(f"{name}.write", i, g, function="multiply", steps=steps)
    updated = net.elementwise(f"{name}.cell", kept, written, steps=steps)
    net.carry(cell, updated)
    squashed = net.activation(f"{name}.cell_tanh", updated, "tanh", steps=steps)
    return net.elementwise(f"{name}.hidden", o, squashed, function="multiply", steps=steps)


def _gru_step(net: NetworkBuilder, name: str, given: str, carried: str, steps: int) -> str:
    """r, z = sigmoid of the gate sums, n = tanh(given_n + r carried_n), h' = n + z (h - n)."""
    gates = {}
    for letter, index in (("r", 0), ("z", 1)):
        parts = [
            _slice(net, f"{name}.{letter}.{which}", source, index, 3, steps)
            for which, source in (("given", given), ("carried", carried))
        ]
        total = net.elementwise(f"{name}.{letter}.sum", *parts, steps=steps)
        gates[letter] = net.activation(f"{name}.{letter}", total, "sigmoid", steps=steps)
    carried_n = _slice(net, f"{name}.n.carried", carried, 2, 3, steps)
    reset = net.elementwise(f"{name}.n.reset", gates["r"], carried_n, function="multiply", steps=steps)
    given_n = _slice(net, f"{name}.n.given", given, 2, 3, steps)
    new = net.activation(
        f"{name}.n", net.elementwise(f"{name}.n.sum", given_n, reset, steps=steps), "tanh", steps=steps
    )
    change = net.elementwise(f"{name}.change", f"{name}.state", new, function="subtract", steps=steps)
    kept = net.elementwise(f"{name}.keep", gates["z"], change, function="multiply", steps=steps)
    return net.elementwise(f"{name}.hidden", new, kept, steps=steps)


def _rnn_step(net: NetworkBuilder, name: str, given: str, carried: str, steps: int) -> str:
    """h' = tanh(given + carried)."""
    return net.activation(
        f"{name}.hidden", net.elementwise(f"{name}.sum", given, carried, steps=steps), "tanh", steps=steps
    )


def _gate(
    net: NetworkBuilder, name: str, total: str, letter: str, index: int, gates: int, function: str, steps: int
) -> str:
    return net.activation(
        f"{name}.{letter}", _slice(net, f"{name}.{letter}.sum", total, index, gates, steps), function, steps=steps
    )


def _slice(net: NetworkBuilder, name: str, x: str, index: int, parts: int, steps: int) -> str:
    """Take one of `parts` equal slices of the features; which one is in the function's name."""
    batch, features = net.shape_of(x)
    return net.layout(name, x, (batch, features // parts), f"slice{index}", steps=steps)


CELLS = {"lstm": (4, lstm_step), "gru": (3, _gru_step), "rnn": (1, _rnn_step)}
"""Gates and step function of each cell."""

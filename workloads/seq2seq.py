"""Sequence to sequence: a recurrent encoder, and a recurrent decoder that attends to it.

Luong, Pham & Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015: global
attention with the "general" score (Sec. 3.1) and input feeding (Sec. 3.3). Sizes and vocabularies are the
defaults of OpenNMT-py (Klein et al., ACL 2017) and of its quickstart.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import lstm_step, recurrent

from ._blocks import at_least, named

SOURCE = "Luong et al., EMNLP 2015, Sec. 3; sizes: OpenNMT-py's quickstart (Klein et al., ACL 2017)"
NOTES = (
    "the whole target is given (teacher forcing): products of its words and predictions are computed together, what "
    "depends on a state step by step",
    "the decoder starts from zero states, not from the encoder's last: that changes values, not work",
)


def seq2seq(
    source: int = 20,
    target: int = 20,
    hidden: int = 500,
    layers: int = 2,
    batch: int = 1,
    source_vocabulary: int = 24997,
    target_vocabulary: int = 35820,
) -> Network:
    """Return an LSTM encoder-decoder on `batch` sentences of `source` words and translations of `target`.

    Words are looked up as `hidden` numbers; both sides have `layers` LSTM layers of `hidden` units.
    Raises `InputError` for sizes below 1.
    """
    at_least("seq2seq", 1, source=source, target=target, hidden=hidden, layers=layers, batch=batch)
    at_least("seq2seq", 1, source_vocabulary=source_vocabulary, target_vocabulary=target_vocabulary)
    sizes = {"source": (source, 20), "target": (target, 20), "layers": (layers, 2)}
    words = {
        "source_vocabulary": (source_vocabulary, 24997),
        "target_vocabulary": (target_vocabulary, 35820),
    }
    net = NetworkBuilder(named(f"seq2seq{hidden}", **sizes, **words))
    x = net.embedding("source_words", net.input("source_ids", (batch, source)), source_vocabulary, hidden)
    for index in range(1, layers + 1):
        x = recurrent(net, f"encoder{index}", x, hidden)
    keys = net.transpose("keys_transposed", net.linear("attention.in", x, hidden, bias=False), (0, 2, 1))
    y = net.embedding("target_words", net.input("target_ids", (batch, target)), target_vocabulary, hidden)
    y = _decoder(net, y, x, keys, layers)
    net.softmax("softmax", net.linear("generator", y, target_vocabulary), "log")
    return net.build(source=SOURCE, notes=NOTES)


def _decoder(net: NetworkBuilder, y: str, memory: str, keys: str, layers: int) -> str:
    """Add the steps of the decoder on words (N, T, hidden); return what it attended to in all of them.

    Of the first layer's product, the part of the words is computed for all steps together; that of the attention fed
    back and of the state is one product on both.
    """
    batch, steps, hidden = net.shape_of(y)
    together = net.linear("decoder1.input_gates", y, 4 * hidden)
    fed = net.state("fed", (batch, hidden))
    states = [net.state(f"decoder{index}.state", (batch, hidden)) for index in range(1, layers + 1)]
    given = net.layout("decoder1.step", together, (batch, 4 * hidden), "step", steps=steps)
    both = net.concatenation("decoder1.fed_and_state", fed, states[0], steps=steps)
    carried = net.linear("decoder1.recurrent_gates", both, 4 * hidden, steps=steps)
    x = lstm_step(net, "decoder1", given, carried, steps)
    net.carry(states[0], x)
    for index in range(2, layers + 1):
        name, state = f"decoder{index}", states[index - 1]
        given = net.linear(f"{name}.input_gates", x, 4 * hidden, steps=steps)
        carried = net.linear(f"{name}.recurrent_gates", state, 4 * hidden, steps=steps)
        x = lstm_step(net, name, given, carried, steps)
        net.carry(state, x)
    attended = _attention(net, x, memory, keys, steps)
    net.carry(fed, attended)
    return net.layout("decoder.sequence", attended, (batch, steps, hidden), "stack")


def _attention(net: NetworkBuilder, x: str, memory: str, keys: str, steps: int) -> str:
    """Add tanh(W [context; x]), the context being the mean of the memory that the scores weigh (Eq. 5 and 7)."""
    batch, hidden = net.shape_of(x)
    query = net.reshape("attention.query", x, (batch, 1, hidden), steps=steps)
    scores = net.softmax("attention.softmax", net.matmul("attention.scores", query, keys, steps=steps), steps=steps)
    context = net.matmul("attention.attended", scores, memory, steps=steps)
    context = net.reshape("attention.context", context, (batch, hidden), steps=steps)
    both = net.concatenation("attention.both", context, x, steps=steps)
    return net.activation(
        "attention.tanh", net.linear("attention.out", both, hidden, bias=False, steps=steps), "tanh", steps=steps
    )

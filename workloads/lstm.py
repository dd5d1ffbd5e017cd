"""Recurrent networks: stacked LSTM, GRU or plain recurrent layers over a sequence.

LSTM: Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, with the forget gate of Gers et al. (2000). GRU: Cho et
al., EMNLP 2014, with the reset gate after the product, as cuDNN has it. Plain: Elman, Cognitive Science 14(2), 1990.
The default is one of the two layers of the medium model of Zaremba et al., "Recurrent neural network regularization",
arXiv:1409.2329 (2014), Sec. 4.1: 650 units, 35 steps.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent

from ._blocks import at_least, named, one_of

SOURCES = {
    "lstm": "Hochreiter & Schmidhuber, Neural Computation 9(8), 1997; default sizes: Zaremba et al., arXiv:1409.2329",
    "gru": "Cho et al., EMNLP 2014, reset gate after the product; the sizes are the caller's",
    "rnn": "Elman, Cognitive Science 14(2), 1990; the sizes are the caller's",
}


def lstm(  # the sizes of the sequence and of the cell, named as in the frameworks
    layers: int = 1,
    hidden: int = 650,
    inputs: int = 650,
    steps: int = 35,
    batch: int = 1,
    cell: str = "lstm",
    bidirectional: bool = False,
    biases: int = 2,
) -> Network:
    """Return `layers` recurrent layers over `batch` sequences (N, steps, inputs), each reading the one before.

    `cell` is "lstm", "gru" or "rnn"; `biases` is the bias vectors per gate, 2 in PyTorch and cuDNN, 1 in most of Keras.
    Raises `InputError` for an unknown cell, biases other than 0, 1 or 2, and sizes below 1.
    """
    one_of("lstm", "cell", cell, tuple(SOURCES))
    one_of("lstm", "biases", biases, (0, 1, 2))
    at_least("lstm", 1, layers=layers, hidden=hidden, inputs=inputs, steps=steps, batch=batch)
    net = NetworkBuilder(
        named(
            f"{'bi' if bidirectional else ''}{cell}{hidden}",
            layers=(layers, 1),
            inputs=(inputs, 650),
            steps=(steps, 35),
            biases=(biases, 2),
        )
    )
    x = net.input("sequence", (batch, steps, inputs))
    for index in range(1, layers + 1):
        x = recurrent(net, f"{cell}{index}", x, hidden, cell=cell, biases=biases, bidirectional=bidirectional)
    return net.build(source=SOURCES[cell])

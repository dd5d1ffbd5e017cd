"""Recurrent networks: stacked LSTM, GRU or plain recurrent layers over a sequence.

LSTM: Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, with the forget gate of Gers et al. (2000). GRU: Cho et
al., EMNLP 2014, with the reset gate after the product, as cuDNN has it. Plain: Elman, Cognitive Science 14(2), 1990.
The default is one of the two layers of the medium model of Zaremba et al., "Recurrent neural network regularization",
arXiv:1409.2329 (2014), Sec. 4.1: 650 units, 35 steps.
"""

from __future__ import annotations

from hwsim.ir import Network

from ._blocks import one_of
from ._recurrent import stacked

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
    return stacked(
        "lstm",
        SOURCES[cell],
        cell,
        layers=layers,
        hidden=hidden,
        inputs=inputs,
        steps=steps,
        batch=batch,
        bidirectional=bidirectional,
        biases=biases,
        default_inputs=650,
        default_steps=35,
    )

"""Gated recurrent units: stacked layers of them over a sequence.

Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP 2014,
with the reset gate after the product, as cuDNN has it. The default is their encoder, 1000 units on words of 100 numbers
(Sec. 4.1), over phrases of 7 words.
"""

from __future__ import annotations

from hwsim.ir import Network

from ._recurrent import stacked

SOURCE = "Cho et al., EMNLP 2014, Sec. 4.1, reset gate after the product"


def gru(
    layers: int = 1,
    hidden: int = 1000,
    inputs: int = 100,
    steps: int = 7,
    batch: int = 1,
    bidirectional: bool = False,
    biases: int = 2,
) -> Network:
    """Return `layers` GRU layers over `batch` sequences (N, steps, inputs), each reading the one before.

    `biases` is the bias vectors per gate, 2 in PyTorch and cuDNN. Raises `InputError` for biases other than 0, 1 or 2,
    and sizes below 1.
    """
    return stacked(
        "gru",
        SOURCE,
        "gru",
        layers=layers,
        hidden=hidden,
        inputs=inputs,
        steps=steps,
        batch=batch,
        bidirectional=bidirectional,
        biases=biases,
        default_inputs=100,
        default_steps=7,
    )

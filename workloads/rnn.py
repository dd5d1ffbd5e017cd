"""Vanilla recurrent networks: stacked layers of h' = tanh(W x + U h + b) over a sequence.

Elman, "Finding structure in time", Cognitive Science 14(2), 1990. The default is a vanilla layer of DeepBench, 1760
units over 50 steps, as in Baidu's speech recognition.
"""

from __future__ import annotations

from hwsim.ir import Network

from ._recurrent import stacked

SOURCE = "Elman, Cognitive Science 14(2), 1990; default sizes: baidu-research/DeepBench@da81ba78"


def rnn(
    layers: int = 1,
    hidden: int = 1760,
    inputs: int = 1760,
    steps: int = 50,
    batch: int = 1,
    bidirectional: bool = False,
    biases: int = 2,
) -> Network:
    """Return `layers` vanilla recurrent layers over `batch` sequences (N, steps, inputs), each reading the one before.

    `biases` is the bias vectors, 2 in PyTorch and cuDNN, 1 in Keras. Raises `InputError` for biases other than 0, 1 or
    2, and sizes below 1.
    """
    return stacked(
        "rnn",
        SOURCE,
        "rnn",
        layers=layers,
        hidden=hidden,
        inputs=inputs,
        steps=steps,
        batch=batch,
        bidirectional=bidirectional,
        biases=biases,
        default_inputs=1760,
        default_steps=50,
    )

"""Vanilla recurrent networks: stacked layers of h' = tanh(W x + U h + b) over a sequence.

Elman, "Finding structure in time", Cognitive Science 14(2), 1990. The default is a vanilla layer of DeepBench, 1760
units over 50 steps, as in Baidu's speech recognition.
"""

from __future__ import annotations

from ._recurrent import Sizes, stacked

SOURCE = "Elman, Cognitive Science 14(2), 1990; default sizes: baidu-research/DeepBench@da81ba78"

rnn = stacked("rnn", Sizes(hidden=1760, inputs=1760, steps=50), SOURCE)

"""Gated recurrent units: stacked layers of them over a sequence.

Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", EMNLP 2014,
with the reset gate after the product, as cuDNN has it. The default is their encoder, 1000 units on words of 100 numbers
(Sec. 4.1), over phrases of 7 words.
"""

from __future__ import annotations

from ._recurrent import Sizes, stacked

SOURCE = "Cho et al., EMNLP 2014, Sec. 4.1, reset gate after the product"

gru = stacked("gru", Sizes(hidden=1000, inputs=100, steps=7), SOURCE)

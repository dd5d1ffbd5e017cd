"""NeuralTalk: an LSTM that captions an image from the features that a CNN gives of it.

Karpathy & Fei-Fei, "Deep visual-semantic alignments for generating image descriptions", CVPR 2015, in the code of
karpathy/neuraltalk (`imagernn/`, after Vinyals et al., CVPR 2015), at the sizes whose layers EIE compresses: NT-We of
4096 x 600, NT-LSTM of 1201 x 2400 (600 inputs, 600 of the state, a bias), NT-Wd of 600 x 8791 (Han et al., ISCA 2016,
Table III).
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent

from ._blocks import at_least, named

SOURCE = "karpathy/neuraltalk, imagernn/; sizes: Han et al., EIE, ISCA 2016, Table III"
FEATURES = 4096
"""Features that VGG's fc7 gives of an image."""

NOTES = (
    "the caption is given, as where captions are scored: its words' products by the LSTM's input weights and by Wd are "
    "computed together; a caption that is generated needs them word by word",
    "the LSTM squashes its cell by tanh, an option of the code",
)


def neuraltalk(words: int = 10, hidden: int = 600, vocabulary: int = 8791, batch: int = 1) -> Network:
    """Return NeuralTalk on the features (N, 4096) of `batch` images and captions of `words` words each.

    The LSTM reads the image, a start token and the words, so that it takes `words` + 2 steps; Wd predicts what follows
    each but the image. `vocabulary` includes the token that starts a caption and ends it.
    Raises `InputError` for sizes below 1.
    """
    at_least("neuraltalk", 1, words=words, hidden=hidden, vocabulary=vocabulary, batch=batch)
    net = NetworkBuilder(named("neuraltalk", words=(words, 10), hidden=(hidden, 600), vocabulary=(vocabulary, 8791)))
    image = net.linear("We", net.input("features", (batch, FEATURES)), hidden)
    tokens = net.embedding("Ws", net.input("token_ids", (batch, words + 1)), vocabulary, hidden)
    x = net.concatenation("given", net.reshape("image", image, (batch, 1, hidden)), tokens, axis=1)
    x = recurrent(net, "LSTM", x, hidden, biases=1)
    x = net.layout("behind_image", x, (batch, words + 1, hidden), "from1")
    net.softmax("softmax", net.linear("Wd", x, vocabulary))
    return net.build(source=SOURCE, notes=NOTES)

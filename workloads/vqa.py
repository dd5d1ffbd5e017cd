"""Visual question answering: a CNN, an LSTM and two layers of attention of the question to the image.

Yang, He, Gao, Deng & Smola, "Stacked attention networks for image question answering", CVPR 2016, Sec.
3.1 to 3.3; the CNN is VGG-19 up to its last pooling (Sec. 3.1), sizes are those of the authors' code for the VQA data
(zcyang/imageqa-san: n_emb, n_dim, n_attention, n_words, n_output).
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.recurrent import recurrent

from ._blocks import at_least, images, named
from .vgg import CHANNELS, CONVOLUTIONS

SOURCE = "Yang et al., Stacked attention networks, CVPR 2016, Sec. 3"
CNN_DEPTH = 19
WORDS, WORD_SIZE, UNITS, ATTENTION, ANSWERS = 13746, 500, 1024, 512, 1000
"""Words known, numbers that stand for each, units of the LSTM, of an attention layer, and answers."""


def vqa(words: int = 10, image: int = 448, hops: int = 2, batch: int = 1) -> Network:
    """Return a stacked attention network on `batch` images (N, 3, image, image) and questions of `words` words.

    `hops` is how many attention layers refine the question in turn. Raises `InputError` for sizes below 1 and images
    below 32.
    """
    at_least("vqa", 1, words=words, hops=hops, batch=batch)
    at_least("vqa", 2 ** len(CHANNELS), image=image)
    net = NetworkBuilder(named("vqa_san", words=(words, 10), image=(image, 448), hops=(hops, 2)))
    regions, u = _regions(net, images(net, batch, image)), _question(net, batch, words)
    for index in range(1, hops + 1):
        u = _attend(net, f"attention{index}", regions, u)
    net.softmax("softmax", net.linear("answer", net.flatten("refined", u), ANSWERS))
    return net.build(source=SOURCE)


def _regions(net: NetworkBuilder, x: str) -> str:
    """Add VGG-19's convolutions and the layer that gives every region a vector of the question's size."""
    for stack, (channels, count) in enumerate(zip(CHANNELS, CONVOLUTIONS[CNN_DEPTH], strict=True), 1):
        for index in range(1, count + 1):
            name = f"{stack}_{index}"
            x = net.activation(f"relu{name}", net.conv(f"conv{name}", x, channels, 3, padding=1))
        x = net.pool(f"pool{stack}", x, 2)
    batch, depth, rows, cols = net.shape_of(x)
    x = net.transpose("regions", net.reshape("positions", x, (batch, depth, rows * cols)), (0, 2, 1))
    return net.activation("image_tanh", net.linear("image", x, UNITS), "tanh")


def _question(net: NetworkBuilder, batch: int, words: int) -> str:
    """Add the LSTM on the question's words; return its last state (N, 1, units)."""
    x = net.embedding("words", net.input("word_ids", (batch, words)), WORDS, WORD_SIZE)
    x = recurrent(net, "lstm", x, UNITS, biases=1)
    return net.layout("question", x, (batch, 1, UNITS), f"from{words - 1}")


def _attend(net: NetworkBuilder, name: str, regions: str, u: str) -> str:
    """Add the mean of the regions, weighed by how each answers the question `u`, to the question."""
    batch, count, _ = net.shape_of(regions)
    seen = net.linear(f"{name}.image", regions, ATTENTION, bias=False)
    h = net.elementwise(f"{name}.sum", seen, net.linear(f"{name}.question", u, ATTENTION))
    scores = net.linear(f"{name}.score", net.activation(f"{name}.tanh", h, "tanh"), 1)
    p = net.softmax(f"{name}.softmax", net.reshape(f"{name}.scores", scores, (batch, 1, count)))
    return net.elementwise(f"{name}.refined", net.matmul(f"{name}.attended", p, regions), u)

"""Recurrent and attention networks: counts against what papers and frameworks publish, and where tensors live."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx_exports import DATA

from hwsim import catalog
from hwsim.errors import InputError, UsageError
from hwsim.ir import Kind, Layer, Network, NetworkBuilder
from hwsim.ir.lifetimes import lifetimes
from hwsim.ir.onnx.importer import onnx_network
from hwsim.ir.recurrent import recurrent
from hwsim.published import table

TORCHVISION = "torchvision, {}_Weights.IMAGENET1K_V1: meta num_params and _ops (GFLOPS; one per multiply-accumulate)"
HUGGING_FACE = "Hugging Face transformers, num_parameters() of {}"


def encoder(tokens: int, width: int, hidden: int, layers: int, memory: int | None = None) -> int:
    """Return MACs of Transformer layers: four projections, two products with `memory` tokens, two more layers."""
    attended = tokens if memory is None else memory
    return layers * (4 * tokens * width**2 + 2 * tokens * attended * width + 2 * tokens * width * hidden)


def vit_macs(width: int, layers: int, patch: int, image: int = 224) -> int:
    patches = (image // patch) ** 2
    return patches * 3 * patch**2 * width + encoder(patches + 1, width, 4 * width, layers) + width * 1000


def gpt2_macs(tokens: int, past: int, width: int = 768, layers: int = 12) -> int:
    return encoder(tokens, width, 4 * width, layers, past + tokens) + tokens * width * 50257


REFERENCES = [
    # spec, parameters, MACs by hand, source of the parameters
    (
        "bert",
        109_482_240,
        encoder(128, 768, 3072, 12) + 768**2,
        HUGGING_FACE.format("BertModel, google-research/bert#1225"),
    ),
    ("bert:size=large", 335_141_888, encoder(128, 1024, 4096, 24) + 1024**2, "KerasHub, preset bert_large_en_uncased"),
    (
        "bert:head=mlm",
        109_514_298,
        encoder(128, 768, 3072, 12) + 128 * 768 * (768 + 30522),
        HUGGING_FACE.format("BertForMaskedLM"),
    ),
    ("vit", 86_567_656, vit_macs(768, 12, 16), TORCHVISION.format("ViT_B_16")),
    ("vit:patch=32", 88_224_232, vit_macs(768, 12, 32), TORCHVISION.format("ViT_B_32")),
    ("vit:size=large", 304_326_632, vit_macs(1024, 24, 16), TORCHVISION.format("ViT_L_16")),
    ("vit:size=large,patch=32", 306_535_400, vit_macs(1024, 24, 32), TORCHVISION.format("ViT_L_32")),
    ("gpt2", 124_439_808, gpt2_macs(1024, 0), HUGGING_FACE.format("GPT2LMHeadModel, gpt2")),
    ("gpt2:phase=decode", 124_439_808, gpt2_macs(1, 1023), HUGGING_FACE.format("GPT2LMHeadModel, gpt2")),
    (
        "gpt2:phase=decode,past=100,length=4",
        124_439_808,
        gpt2_macs(4, 100),
        HUGGING_FACE.format("GPT2LMHeadModel, gpt2"),
    ),
    ("gpt2:size=medium", 354_823_168, gpt2_macs(1024, 0, 1024, 24), HUGGING_FACE.format("gpt2-medium")),
    ("gpt2:size=large", 774_030_080, gpt2_macs(1024, 0, 1280, 36), HUGGING_FACE.format("gpt2-large")),
    ("gpt2:size=xl", 1_557_611_200, gpt2_macs(1024, 0, 1600, 48), HUGGING_FACE.format("gpt2-xl")),
    (
        "seq2seq",
        58_120_320,  # 16,506,500 of the encoder, 41,613,820 of the decoder
        # two layers of both sides, gates of 500 inputs and 500 states; 500 more fed back; keys; scores, context, output
        20 * (4 * 2000 * 1000 + 2000 * 500) + 20 * 500**2 + 20 * (2 * 20 * 500 + 1000 * 500) + 20 * 500 * 35820,
        "OpenNMT-py, log of the quickstart's training: number of parameters",
    ),
    (
        "neuraltalk",
        4096 * 600 + 600 + 8791 * 600 + 1201 * 2400 + 600 * 8791 + 8791,
        4096 * 600 + 12 * 1200 * 2400 + 11 * 600 * 8791,
        "karpathy/neuraltalk, imagernn/: shapes of We, be, Ws, WLSTM, Wd, bd",
    ),
    (
        "vqa",
        # VGG-19's convolutions (torchvision: 20,024,384); regions; words; LSTM; two attention layers; answers
        20_024_384
        + 513 * 1024
        + 13746 * 500
        + 4096 * (500 + 1024 + 1)
        + 2 * (1024 * 512 + 1025 * 512 + 513)
        + 1025 * 1000,
        # VGG-19's convolutions at 224 x 224 are 19,508,428,800, four times that at 448
        4 * 19_508_428_800
        + 196 * 512 * 1024
        + 10 * 4096 * 1524
        + 2 * (197 * 1024 * 512 + 196 * 512 + 196 * 1024)
        + 1024 * 1000,
        "Yang et al., CVPR 2016, Sec. 3; zcyang/imageqa-san: n_emb, n_dim, n_attention, n_words, n_output",
    ),
    ("rnn", 1760 * 1760 * 2 + 2 * 1760, 50 * 2 * 1760**2, "torch.nn.RNN(1760, 1760)"),
    ("gru", 3 * 1000 * (100 + 1000 + 2), 7 * 3000 * 1100, "torch.nn.GRU(100, 1000)"),
]


@pytest.mark.parametrize(("spec", "parameters", "macs", "source"), REFERENCES, ids=[row[0] for row in REFERENCES])
def test_parameters_and_macs_are_the_published_ones(spec: str, parameters: int, macs: int, source: str) -> None:
    net = catalog.network(spec)
    assert (net.parameters, net.macs) == (parameters, macs), source


@pytest.mark.parametrize(
    ("spec", "published", "tolerance", "source"),
    [
        ("vit", 17.564e9, 0.0005e9, TORCHVISION.format("ViT_B_16")),
        ("vit:size=large", 61.555e9, 0.0005e9, TORCHVISION.format("ViT_L_16")),
        ("gpt2", 291_648_307_200 / 2, 0, "karpathy/nanoGPT, transformer_sizing.ipynb: forward_total, two per MAC"),
    ],
)
def test_macs_are_the_printed_ones(spec: str, published: float, tolerance: float, source: str) -> None:
    assert abs(catalog.network(spec).macs - published) <= tolerance, source


def test_bert_products_by_weights_are_those_deepspeed_counts() -> None:
    # deepspeed/profiling/flops_profiler/README.md: 43.5 GMACs of BertModel for 4 texts of 128; torch.matmul not counted
    layers = catalog.network("bert:batch=4").layers
    assert round(sum(layer.macs for layer in layers if len(layer.inputs) == 1) / 1e9, 1) == 43.5


@pytest.mark.parametrize(
    ("changes", "millions"),
    [
        ("", 65),
        ("heads=1", 65),  # row (A): heads h of 512 / h
        ("heads=32", 65),
        ("key_size=16", 58),  # (B): d_k
        ("key_size=32", 60),
        ("layers=2", 36),  # (C)
        ("layers=4", 50),
        ("layers=8", 80),
        ("width=256", 28),
        ("width=1024", 168),
        ("hidden=1024", 53),
        ("hidden=4096", 90),
    ],
)
def test_transformers_of_table_3_have_its_parameters_with_about_41000_tokens(changes: str, millions: int) -> None:
    net = catalog.network(f"transformer:vocabulary=41000,{changes}")
    assert round(net.parameters / 1e6) == millions


def test_the_big_transformer_and_the_stated_vocabulary_come_near_table_3() -> None:
    assert round(catalog.network("transformer:size=big,vocabulary=36000").parameters / 1e6) == 213
    # Sec. 5.1: about 37000 tokens; encoder and decoder layers by hand, and one table
    base = 6 * (3 * 4 * (512**2 + 512) + 2 * (2 * 512 * 2048 + 2048 + 512) + 5 * 2 * 512) + 37000 * 512
    assert catalog.network("transformer").parameters == base == 63_082_496
    assert catalog.network("transformer:size=big").parameters == 214_245_376


def test_transformer_macs_are_those_of_both_stacks_and_the_prediction() -> None:
    # 7 tokens in, 11 out: encoder, decoder, cross attention (Q and output of 11 tokens, K and V of 7), prediction
    cross = 6 * (2 * 11 * 512**2 + 2 * 7 * 512**2 + 2 * 11 * 7 * 512)
    expected = encoder(7, 512, 2048, 6) + encoder(11, 512, 2048, 6) + cross + 11 * 512 * 37000
    assert catalog.network("transformer:source=7,target=11").macs == expected


def test_neuraltalk_has_the_layers_of_eie() -> None:
    eie = {row["layer"]: (int(row["inputs"]), int(row["outputs"])) for row in table("eie_table3")}
    layers = {layer.name: layer for layer in catalog.network("neuraltalk").layers}
    assert (layers["We"].C, layers["We"].K) == eie["NT-We"] == (4096, 600)
    assert (layers["Wd"].C, layers["Wd"].K) == eie["NT-Wd"] == (600, 8791)
    # EIE's matrix has the inputs, the state and a bias side by side
    given, carried = layers["LSTM.input_gates"], layers["LSTM.recurrent_gates"]
    assert (given.C + carried.C + 1, given.K) == eie["NT-LSTM"] == (1201, 2400)
    assert given.parameters + carried.parameters == 1201 * 2400


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_networks_of_different_cells_or_sizes_have_different_names(cell: str) -> None:
    sizes = "layers=2,hidden=11,inputs=7,steps=5,batch=3,bidirectional=true,biases=1"
    assert catalog.network(f"{cell}:{sizes}").name == f"bi{cell}11_layers2_inputs7_steps5_biases1"
    with pytest.raises(UsageError, match=f"network '{cell}' has no parameter 'cell'"):
        catalog.network(f"{cell}:cell=gru")


def test_decode_reads_the_keys_and_values_of_all_earlier_tokens() -> None:
    net = catalog.network("gpt2:phase=decode,past=100")
    past = [tensor for tensor in net.inputs if "past" in tensor.name]
    assert len(past) == 2 * 12
    assert {tensor.shape for tensor in past} == {(1, 12, 100, 64)}
    scores = next(layer for layer in net.layers if layer.name == "layer1.attention.scores")
    assert (scores.G, scores.N, scores.C, scores.K) == (12, 1, 64, 101)
    assert not any("mask" in layer.name for layer in net.layers)


@pytest.mark.parametrize(("spec", "tokens"), [("gpt2:length=7", 7), ("gpt2:phase=decode", 1)])
def test_keys_and_values_of_new_tokens_are_results(spec: str, tokens: int) -> None:
    net = catalog.network(spec)
    results = [layer for layer in net.layers if layer.name not in net.consumers]
    assert [layer.output_shape for layer in results] == [(1, 12, tokens, 64)] * 24 + [(1, tokens, 50257)]


def test_causal_attention_is_counted_in_full_and_says_so() -> None:
    net = catalog.network("gpt2:length=7")
    assert sum(layer.macs for layer in net.layers if len(layer.inputs) == 2) == 12 * 2 * 7 * 7 * 768
    assert any("causal attention is computed in full" in note for note in net.notes)


def test_recurrent_parts_of_the_decoder_run_step_by_step_and_the_rest_together() -> None:
    layers = {layer.name: layer for layer in catalog.network("seq2seq:target=13").layers}
    assert {layers[name].steps for name in ("decoder1.input_gates", "attention.in", "generator")} == {1}
    stepwise = ("decoder1.recurrent_gates", "decoder2.input_gates", "attention.scores", "attention.softmax")
    assert {layers[name].steps for name in stepwise} == {13}


DEEPBENCH = table("deepbench_shapes")


def test_deepbench_convolutions_have_the_outputs_that_it_prints() -> None:
    printed = {row["name"]: (int(row["Q"]), int(row["P"])) for row in DEEPBENCH if row["kind"] == "conv"}
    layers = catalog.network("deepbench:shape=conv").layers
    assert {layer.name: (layer.P, layer.Q) for layer in layers} == printed
    assert len(printed) == 89


def test_deepbench_products_are_m_n_k() -> None:
    rows = [row for row in DEEPBENCH if row["kind"] == "gemm"]
    layers = catalog.network("deepbench:shape=gemm").layers
    assert [layer.macs for layer in layers] == [int(row["M"]) * int(row["N"]) * int(row["K"]) for row in rows]


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_deepbench_recurrent_layers_leave_out_the_products_of_their_inputs(cell: str, gates: int) -> None:
    rows = [row for row in DEEPBENCH if row["kind"] == cell]
    products = [layer for layer in catalog.network(f"deepbench:shape={cell}").layers if layer.is_mac]
    expected = [int(row["N"]) * int(row["steps"]) * gates * int(row["hidden"]) ** 2 for row in rows]
    assert [layer.macs for layer in products] == expected


def test_deepbench_has_every_shape_and_its_own_batch() -> None:
    net = catalog.network("deepbench:shape=all")
    assert len([layer for layer in net.layers if layer.is_mac]) == len(DEEPBENCH) == 122 + 89 + 22 + 19 + 12
    assert catalog.network("deepbench:shape=lstm_512x16x25").batch == 16
    assert catalog.network("deepbench:shape=lstm_512x16x25,batch=3").batch == 3
    assert all(row["source"] == "baidu-research/DeepBench@da81ba78 (Apache-2.0)" for row in DEEPBENCH)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bert:length=513", "bert: length=513 must be at most 512"),
        ("bert:head=nsp", "bert: head=nsp must be one of pooler, mlm, none"),
        ("vit:image=225", "vit: patches of 16 do not fill an image of 225"),
        ("gpt2:past=5", "gpt2: past=5 tokens are of phase=decode; a prompt has none"),
        ("gpt2:phase=decode,length=24,past=1001", "gpt2: past=1001 must be at most 1000"),
        ("transformer:width=500", "transformer: 8 heads do not share a width of 500"),
        ("gru:steps=0", "gru: steps=0 must be at least 1"),
        ("rnn:biases=3", "rnn: biases=3 must be one of 0, 1, 2"),
        ("vqa:image=31", "vqa: image=31 must be at least 32"),
        ("seq2seq:layers=0", "seq2seq: layers=0 must be at least 1"),
        ("deepbench:gemm_1760x12x1760_nn", "deepbench: no shape 'gemm_1760x12x1760_nn'; did you mean 'gemm_1760x128"),
        ("deepbench:q", "deepbench: no shape 'q'; all of a kind are gemm, conv, lstm, gru, rnn, or all"),
    ],
)
def test_an_impossible_parameter_is_named_with_what_is_allowed(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        catalog.network(spec)


def test_an_lstm_exported_by_torch_is_ours() -> None:
    # tests/onnx_exports.py: two bidirectional layers of 11 on 7 features and 13 steps, 22 features of the last to 5
    exported = onnx_network(DATA / "torch_lstm.onnx", batch=3)
    ours = catalog.network("lstm:layers=2,hidden=11,inputs=7,steps=13,batch=3,bidirectional=true")
    assert exported.macs == ours.macs + 3 * 22 * 5
    assert exported.parameters == ours.parameters + 22 * 5 + 5


@pytest.mark.slow
def test_an_lstm_exported_by_the_torch_at_hand_is_ours(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch makes the ONNX file")
    pytest.importorskip("onnxscript", reason="torch exports through onnxscript")
    module = torch.nn.LSTM(17, 13, 2, batch_first=True, bidirectional=True).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)  # exporters merge what is equal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.randn(2, 11, 17),), str(tmp_path / "lstm.onnx"), dynamo=True, verbose=False)
    exported = onnx_network(tmp_path / "lstm.onnx")
    ours = catalog.network("lstm:layers=2,hidden=13,inputs=17,steps=11,batch=2,bidirectional=true")
    assert (exported.macs, exported.parameters) == (ours.macs, ours.parameters)
    assert exported.parameters == sum(parameter.numel() for parameter in module.parameters())


def chain(net: NetworkBuilder) -> None:
    x = net.linear("b", net.linear("a", net.input("x", (1, 7)), 11), 5)
    net.linear("c", x, 2)


def residual(net: NetworkBuilder) -> None:
    x = net.input("x", (1, 7))
    a = net.linear("a", x, 3)
    net.elementwise("sum", net.linear("b", a, 7), x)


def branches(net: NetworkBuilder) -> None:
    x = net.input("x", (1, 5))
    net.linear("last", net.concatenation("both", net.linear("a", x, 7), net.linear("b", x, 11)), 2)


def views(net: NetworkBuilder) -> None:
    x = net.layout("view", net.linear("a", net.input("x", (1, 5)), 12), (1, 4), "slice1")
    net.linear("last", x, 2)


def look_up(net: NetworkBuilder) -> None:
    net.linear("last", net.embedding("words", net.input("ids", (1, 3)), 100, 7), 2)


def loop(net: NetworkBuilder) -> None:
    recurrent(net, "r", net.input("x", (1, 5, 3)), 7, cell="rnn")


@pytest.mark.parametrize(
    ("build", "peak"),
    [
        (chain, 7 + 11),  # x a | a b = 16 | b c = 7
        (residual, 7 + 7 + 7),  # x a = 10 | x a b = 17 | b sum x
        (branches, 5 + 7 + 11),  # a and b are computed where they are joined
        (views, 5 + 12),  # the slice keeps the whole of a
        (look_up, 21 + 6),  # three words of 7 and what they give; not the table
        # in a step: products of all, the state, gates, their sum and its function; results of all from the first on
        (loop, 35 + 7 + 7 + 7 + 35),
    ],
)
def test_peak_is_the_most_that_lives_at_once(build: Callable[[NetworkBuilder], None], peak: int) -> None:
    net = NetworkBuilder("one")
    build(net)
    assert net.build().peak_activation_elements == peak


def test_a_residual_is_kept_until_it_is_added() -> None:
    net = NetworkBuilder("one")
    residual(net)
    assert lifetimes(net.build()) == {"x": (0, 2), "a": (0, 1), "b": (1, 2), "sum": (2, 2)}


@pytest.mark.parametrize("name", ["resnet", "seq2seq", "bert", "gpt2:phase=decode", "lstm", "vqa"])
def test_peak_lies_between_the_largest_layer_and_everything(name: str) -> None:
    net = catalog.network(name)
    largest = max(sum(_elements(net, layer)) for layer in net.layers)
    everything = net.activation_elements + sum(
        layer.output_elements for layer in net.layers if layer.kind is Kind.RESHAPE
    )
    assert largest <= net.peak_activation_elements <= everything


def _elements(net: Network, layer: Layer) -> list[int]:
    """Return the elements of what a layer that computes reads and gives."""
    if layer.kind in (Kind.RESHAPE, Kind.CONCATENATION):
        return []
    shapes = dict(zip(layer.inputs, layer.input_shapes, strict=True)).values()
    sizes = [layer.output_elements]
    for shape in shapes:
        size = 1
        for extent in shape:
            size *= extent
        sizes.append(size)
    return sizes


def test_arithmetic_intensity_moves_every_operand_once_and_weights_once_for_all_steps() -> None:
    net = NetworkBuilder("one")
    x = net.linear("fc", net.input("x", (2, 7)), 11, bias=False)
    net.reshape("row", net.activation("relu", x), (22,))
    # 154 MACs; 77 weights, 14 inputs and 22 results; 22 read and written by the function
    assert net.build().arithmetic_intensity(8) == pytest.approx(154 / (77 + 14 + 22 + 2 * 22))
    assert net.build().arithmetic_intensity(16, weight_bits=4) == pytest.approx(154 / (77 / 2 + 2 * (14 + 22 + 2 * 22)))


def test_a_transpose_says_its_order_and_must_have_one() -> None:
    net = NetworkBuilder("one")
    net.transpose("t", net.input("x", (2, 3, 5)), (2, 0, 1))
    layer = net.build().layers[0]
    assert (layer.function, layer.output_shape) == ("transpose201", (5, 2, 3))
    with pytest.raises(InputError, match="order \\(0, 0, 1\\) is none of the 3 dimensions of 'x'"):
        net.transpose("u", "x", (0, 0, 1))

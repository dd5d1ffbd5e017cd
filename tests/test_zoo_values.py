"""Values of recurrent and attention networks against torch, which computed them from the same weights.

The networks are of a few units each, by making the tables of sizes of their families smaller.
"""

from __future__ import annotations

import importlib
import importlib.util
from math import sqrt
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hwsim.functional.forward import forward
from hwsim.functional.inputs import inputs_of
from hwsim.functional.parameters import Array
from hwsim.ir import NetworkBuilder

torch: Any = pytest.importorskip("torch", reason="torch is the oracle of these values")
nn: Any = torch.nn

PACKAGE = "hwsim.workloads" if importlib.util.find_spec("hwsim.workloads") else "workloads"
Tensors = dict[str, Array]


def family(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{name}")


def values(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def indices(seed: int, rows: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(0, rows, shape).astype(np.float32)


def assert_close(found: Array, expected: Any) -> None:
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=2e-5)


def random(module: Any) -> Any:
    """Return the module in evaluation with every parameter drawn, biases and normalisations included."""
    torch.manual_seed(7)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


def of(name: str, module: Any) -> Tensors:
    """Return weight and bias of a torch module under the name of our layer."""
    return {f"{name}.{key}": value.detach().numpy() for key, value in module.named_parameters()}


def of_attention(name: str, module: Any, heads: int, together: bool) -> Tensors:
    """Return the projections of torch's attention, 1 / sqrt(head size) in those of the queries."""
    width = module.embed_dim
    scale = np.repeat(np.array([1 / sqrt(width / heads), 1, 1], np.float32), width)
    weight = module.in_proj_weight.detach().numpy() * scale[:, None]
    bias = module.in_proj_bias.detach().numpy() * scale
    found = of(f"{name}.output", module.out_proj)
    if together:
        return found | {f"{name}.qkv.weight": weight, f"{name}.qkv.bias": bias}
    for index, part in enumerate(("query", "key", "value")):
        rows = slice(index * width, (index + 1) * width)
        found |= {f"{name}.{part}.weight": weight[rows], f"{name}.{part}.bias": bias[rows]}
    return found


def of_encoder_layer(attention: str, words: str, layer: Any, heads: int, together: bool) -> Tensors:
    return {
        **of_attention(attention, layer.self_attn, heads, together),
        **of(f"{attention}.norm", layer.norm1),
        **of(f"{words}.up", layer.linear1),
        **of(f"{words}.down", layer.linear2),
        **of(f"{words}.norm", layer.norm2),
    }


def causal(length: int) -> Array:
    return np.triu(np.full((length, length), -np.inf, np.float32), 1)


def test_transformer_is_torch_s_encoder_and_decoder_layers() -> None:
    width, hidden, heads, rows = 12, 20, 4, 17
    options: dict[str, Any] = {"batch_first": True, "dropout": 0.0}
    encoders = [random(nn.TransformerEncoderLayer(width, heads, hidden, **options)) for _ in range(2)]
    decoders = [random(nn.TransformerDecoderLayer(width, heads, hidden, **options)) for _ in range(2)]
    table = values(1, rows, width)
    net = family("transformer").transformer(
        source=5, target=7, batch=3, vocabulary=rows, layers=2, width=width, hidden=hidden, heads=heads
    )
    tensors: Tensors = {"tokens.weight": table}
    for index, layer in enumerate(encoders, 1):
        name = f"encoder{index}"
        tensors |= of_encoder_layer(f"{name}.attention", f"{name}.feed_forward", layer, heads, False)
    for index, layer in enumerate(decoders, 1):
        name = f"decoder{index}"
        tensors |= of_encoder_layer(f"{name}.self_attention", f"{name}.feed_forward", layer, heads, False)
        tensors |= of_attention(f"{name}.cross_attention", layer.multihead_attn, heads, False)
        tensors |= of(f"{name}.cross_attention.norm", layer.norm2) | of(f"{name}.feed_forward.norm", layer.norm3)
    given = {
        "source_ids": indices(2, rows, 3, 5),
        "source_positions": values(3, 5, width),
        "target_ids": indices(4, rows, 3, 7),
        "target_positions": values(5, 7, width),
        "mask": causal(7),
    }
    memory, y = (
        torch.tensor(table)[torch.tensor(given[f"{side}_ids"]).long()] + torch.tensor(given[f"{side}_positions"])
        for side in ("source", "target")
    )
    for layer in encoders:
        memory = layer(memory)
    for layer in decoders:
        y = layer(y, memory, tgt_mask=torch.tensor(given["mask"]))
    assert_close(forward(net, given, tensors)["logits"], y @ torch.tensor(table).T)


def test_bert_is_torch_s_encoder_layers_behind_its_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    bert = family("bert")
    monkeypatch.setitem(bert.SIZES, "base", bert.Size(2, 12, 4))
    layers = [random(nn.TransformerEncoderLayer(12, 4, 48, 0.0, "gelu", batch_first=True)) for _ in range(2)]
    tables = {
        name: random(nn.Embedding(rows, 12)) for name, rows in (("tokens", 17), ("positions", 512), ("segments", 2))
    }
    norm, pooler = random(nn.LayerNorm(12)), random(nn.Linear(12, 12))
    tensors = of("embeddings_norm", norm) | of("pooler", pooler)
    for name, one in tables.items():
        tensors |= of(name, one)
    for index, layer in enumerate(layers, 1):
        tensors |= of_encoder_layer(f"layer{index}.attention", f"layer{index}.feed_forward", layer, 4, False)
    given = {
        "token_ids": indices(1, 17, 3, 5),
        "position_ids": np.arange(5.0)[None],
        "segment_ids": indices(2, 2, 3, 5),
    }
    x = sum(tables[name](torch.tensor(given[f"{name[:-1]}_ids"]).long()) for name in tables)
    x = norm(x)
    for layer in layers:
        x = layer(x)
    net = bert.bert(length=5, batch=3, vocabulary=17)
    assert_close(forward(net, given, tensors)["pooler_tanh"], torch.tanh(pooler(x[:, 0])))


def test_vit_is_torch_s_encoder_layers_on_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    vit = family("vit")
    monkeypatch.setitem(vit.SIZES, "base", vit.Size(2, 12, 20, 3))
    layers = [
        random(nn.TransformerEncoderLayer(12, 3, 20, 0.0, "gelu", batch_first=True, norm_first=True)) for _ in range(2)
    ]
    patches, norm, head = random(nn.Conv2d(3, 12, 5, 5)), random(nn.LayerNorm(12)), random(nn.Linear(12, 7))
    first, positions = values(1, 1, 12), values(2, 10, 12)
    tensors = of("patches", patches) | of("norm", norm) | of("head", head)
    tensors |= {"class_token.weight": first, "positions.weight": positions}
    for index, layer in enumerate(layers, 1):
        tensors |= of_encoder_layer(f"layer{index}.attention", f"layer{index}.mlp", layer, 3, True)
    images = values(3, 2, 3, 15, 15)
    x = patches(torch.tensor(images)).flatten(2).transpose(1, 2)
    x = torch.cat([torch.tensor(first).expand(2, 1, 12), x], 1) + torch.tensor(positions)
    for layer in layers:
        x = layer(x)
    net = vit.vit(patch=5, image=15, batch=2, classes=7)
    given = {"images": images, "class_id": np.zeros((2, 1)), "position_ids": np.arange(10.0)[None]}
    assert_close(forward(net, given, tensors)["head"], head(norm(x)[:, 0]))


def gpt2_tensors() -> tuple[list[Any], Any, Tensors]:
    layers = [
        random(nn.TransformerEncoderLayer(128, 2, 512, 0.0, "gelu", batch_first=True, norm_first=True))
        for _ in range(2)
    ]
    norm = random(nn.LayerNorm(128))
    tensors = of("norm", norm) | {"tokens.weight": values(1, 17, 128), "positions.weight": values(2, 1024, 128)}
    for index, layer in enumerate(layers, 1):
        tensors |= of_encoder_layer(f"layer{index}.attention", f"layer{index}.mlp", layer, 2, True)
    return layers, norm, tensors


def test_gpt2_is_torch_s_masked_layers_and_decodes_what_a_prompt_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    gpt2 = family("gpt2")
    monkeypatch.setitem(gpt2.SIZES, "small", gpt2.Size(2, 128))
    layers, norm, tensors = gpt2_tensors()
    ids = indices(3, 17, 3, 7)
    given = {"token_ids": ids, "position_ids": np.arange(7.0)[None], "mask": causal(7)}
    found = forward(gpt2.gpt2(length=7, batch=3, vocabulary=17), given, tensors)
    table, positions = torch.tensor(tensors["tokens.weight"]), torch.tensor(tensors["positions.weight"])
    x = table[torch.tensor(ids).long()] + positions[:7]
    for layer in layers:
        x = layer(x, torch.tensor(given["mask"]))
    expected = (norm(x) @ table.T).detach().numpy()
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-3, atol=1e-3)

    decode = {"token_ids": ids[:, 6:], "position_ids": np.full((1, 1), 6.0)}
    for index in (1, 2):
        for part, of_part in (("key", "past_keys"), ("value", "past_values")):
            cached = found[f"layer{index}.attention.{part}.by_head.cached"]
            decode[f"layer{index}.{of_part}"] = cached[:, :, :6]
    net = gpt2.gpt2("decode", length=1, past=6, batch=3, vocabulary=17)
    np.testing.assert_allclose(forward(net, decode, tensors)["logits"][:, 0], expected[:, 6], rtol=1e-3, atol=1e-3)
    last = forward(gpt2.gpt2(length=7, batch=3, vocabulary=17, last_only=True), given, tensors)["logits"]
    np.testing.assert_allclose(last[:, 0], expected[:, 6], rtol=1e-3, atol=1e-3)


def test_seq2seq_is_torch_s_cells_with_attention_fed_back() -> None:
    hidden = 6
    encoder = random(nn.LSTM(hidden, hidden, 2, batch_first=True))
    cells = [random(nn.LSTMCell(2 * hidden, hidden)), random(nn.LSTMCell(hidden, hidden))]
    key, out = random(nn.Linear(hidden, hidden, bias=False)), random(nn.Linear(2 * hidden, hidden, bias=False))
    words = {"source": random(nn.Embedding(11, hidden)), "target": random(nn.Embedding(13, hidden))}
    generator = random(nn.Linear(hidden, 13))
    given = {"source_ids": indices(1, 11, 3, 5), "target_ids": indices(2, 13, 3, 7)}
    memory, _ = encoder(words["source"](torch.tensor(given["source_ids"]).long()))
    embedded = words["target"](torch.tensor(given["target_ids"]).long())
    states = [(torch.zeros(3, hidden), torch.zeros(3, hidden)) for _ in cells]
    fed, steps = torch.zeros(3, hidden), []
    for step in range(7):
        states[0] = cells[0](torch.cat([embedded[:, step], fed], 1), states[0])
        states[1] = cells[1](states[0][0], states[1])
        query = states[1][0]
        weights = torch.softmax((key(memory) @ query[:, :, None])[:, :, 0], 1)
        context = (weights[:, None] @ memory)[:, 0]
        fed = torch.tanh(out(torch.cat([context, query], 1)))
        steps.append(fed)
    expected = torch.log_softmax(generator(torch.stack(steps, 1)), -1)

    tensors = of("source_words", words["source"]) | of("target_words", words["target"]) | of("generator", generator)
    tensors |= of("attention.in", key) | of("attention.out", out)
    for layer in (0, 1):
        for ours, theirs in (("input_gates", "ih"), ("recurrent_gates", "hh")):
            for kind in ("weight", "bias"):
                tensors[f"encoder{layer + 1}.{ours}.{kind}"] = (
                    getattr(encoder, f"{kind}_{theirs}_l{layer}").detach().numpy()
                )
                tensors[f"decoder{layer + 1}.{ours}.{kind}"] = (
                    getattr(cells[layer], f"{kind}_{theirs}").detach().numpy()
                )
    # of the first cell's matrix, the part of the words is computed together, that of what is fed back with the state
    whole = tensors["decoder1.input_gates.weight"]
    tensors["decoder1.input_gates.weight"] = whole[:, :hidden]
    carried = tensors["decoder1.recurrent_gates.weight"]
    tensors["decoder1.recurrent_gates.weight"] = np.concatenate([whole[:, hidden:], carried], 1)
    net = family("seq2seq").seq2seq(
        source=5, target=7, hidden=hidden, batch=3, source_vocabulary=11, target_vocabulary=13
    )
    assert_close(forward(net, given, tensors)["softmax"], expected)


def test_neuraltalk_reads_the_image_first_and_predicts_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    neuraltalk = family("neuraltalk")
    monkeypatch.setattr(neuraltalk, "FEATURES", 9)
    image, words, last = random(nn.Linear(9, 6)), random(nn.Embedding(11, 6)), random(nn.Linear(6, 11))
    lstm = random(nn.LSTM(6, 6, batch_first=True))
    nn.init.zeros_(lstm.bias_hh_l0)
    given = {"features": values(1, 3, 9), "token_ids": indices(2, 11, 3, 5)}
    x = torch.cat([image(torch.tensor(given["features"]))[:, None], words(torch.tensor(given["token_ids"]).long())], 1)
    expected = torch.softmax(last(lstm(x)[0][:, 1:]), -1)
    tensors = of("We", image) | of("Ws", words) | of("Wd", last)
    tensors |= {
        "LSTM.input_gates.weight": lstm.weight_ih_l0.detach().numpy(),
        "LSTM.input_gates.bias": lstm.bias_ih_l0.detach().numpy(),
        "LSTM.recurrent_gates.weight": lstm.weight_hh_l0.detach().numpy(),
    }
    net = neuraltalk.neuraltalk(words=4, hidden=6, vocabulary=11, batch=3)
    assert_close(forward(net, given, tensors)["softmax"], expected)


def test_vqa_weighs_the_regions_by_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    vqa = family("vqa")
    sizes = {"WORDS": 13, "WORD_SIZE": 5, "UNITS": 8, "ATTENTION": 6, "ANSWERS": 7, "CHANNELS": (4, 6)}
    for name, size in sizes.items():
        monkeypatch.setattr(vqa, name, size)
    monkeypatch.setattr(vqa, "CONVOLUTIONS", {19: (1, 2)})
    convolutions = [random(nn.Conv2d(*ends, 3, padding=1)) for ends in ((3, 4), (4, 6), (6, 6))]
    image, words, answer = random(nn.Linear(6, 8)), random(nn.Embedding(13, 5)), random(nn.Linear(8, 7))
    lstm = random(nn.LSTM(5, 8, batch_first=True))
    nn.init.zeros_(lstm.bias_hh_l0)
    given = {"images": values(1, 2, 3, 12, 12), "word_ids": indices(2, 13, 2, 4)}
    first, second, third = convolutions
    x = torch.max_pool2d(torch.relu(first(torch.tensor(given["images"]))), 2)
    x = torch.max_pool2d(torch.relu(third(torch.relu(second(x)))), 2)
    regions = torch.tanh(image(x.flatten(2).transpose(1, 2)))
    u = lstm(words(torch.tensor(given["word_ids"]).long()))[0][:, -1:]
    tensors = of("image", image) | of("words", words) | of("answer", answer)
    for name, one in zip(("conv1_1", "conv2_1", "conv2_2"), convolutions, strict=True):
        tensors |= of(name, one)
    tensors |= {
        "lstm.input_gates.weight": lstm.weight_ih_l0.detach().numpy(),
        "lstm.input_gates.bias": lstm.bias_ih_l0.detach().numpy(),
        "lstm.recurrent_gates.weight": lstm.weight_hh_l0.detach().numpy(),
    }
    for hop in (1, 2):
        parts = {
            "image": random(nn.Linear(8, 6, bias=False)),
            "question": random(nn.Linear(8, 6)),
            "score": random(nn.Linear(6, 1)),
        }
        p = torch.softmax(parts["score"](torch.tanh(parts["image"](regions) + parts["question"](u))), 1)
        u = (p * regions).sum(1, keepdim=True) + u
        for part, module in parts.items():
            tensors |= of(f"attention{hop}.{part}", module)
    net = vqa.vqa(words=4, image=12, batch=2)
    assert_close(forward(net, given, tensors)["softmax"], torch.softmax(answer(u[:, 0]), -1))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_parameters_are_torch_s_two_bias_vectors_included(cell: str) -> None:
    oracle = getattr(nn, cell.upper())(7, 11, num_layers=2, bidirectional=True)
    net = getattr(family(cell), cell)(layers=2, hidden=11, inputs=7, bidirectional=True)
    assert net.parameters == sum(parameter.numel() for parameter in oracle.parameters())
    # one vector, as in Keras: 2 layers x 2 directions x gates x 11 less
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    one = getattr(family(cell), cell)(layers=2, hidden=11, inputs=7, bidirectional=True, biases=1)
    assert net.parameters - one.parameters == 2 * 2 * gates * 11


def test_equal_sizes_are_transposed_in_the_order_that_the_name_says() -> None:
    net, x = NetworkBuilder("one"), values(1, 3, 3, 3, 3)
    net.transpose("t", net.input("x", x.shape), (0, 2, 3, 1))
    np.testing.assert_array_equal(forward(net.build(), {"x": x})["t"], torch.tensor(x).permute(0, 2, 3, 1).numpy())


def test_random_indices_are_rows_of_the_table_they_are_looked_up_in() -> None:
    drawn = inputs_of(family("bert").bert(length=97, vocabulary=5), "random")
    assert {name: sorted(set(drawn[name].ravel())) for name in ("token_ids", "segment_ids")} == {
        "token_ids": [0, 1, 2, 3, 4],
        "segment_ids": [0, 1],
    }
    # both sides of a translation share the table that is counted once
    drawn = inputs_of(family("transformer").transformer(vocabulary=3), "random")
    assert set(drawn["target_ids"].ravel()) == {0, 1, 2}


def test_a_table_that_is_not_given_is_drawn_and_shared() -> None:
    net, ids = NetworkBuilder("one"), indices(1, 13, 2, 5)
    net.embedding("a", net.input("ids", ids.shape), 13, 7, weights=("table",))
    net.embedding("b", "ids", 13, 7, weights=("table",), tied=True)
    net.linear("logits", "a", 13, bias=False, weights=("table",), tied=True)
    network = net.build()
    found = forward(network, {"ids": ids}, seed=3)
    assert network.parameters == 13 * 7
    np.testing.assert_array_equal(found["a"], found["b"])
    # a word's own row is what it is most like
    rows = found["a"].reshape(-1, 7)
    np.testing.assert_allclose(
        found["logits"].reshape(-1, 13)[range(10), ids.ravel().astype(int)], (rows**2).sum(1), rtol=1e-5
    )

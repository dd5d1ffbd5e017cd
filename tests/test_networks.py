"""The network families against what papers and frameworks publish about them."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import InputError
from hwsim.ir import Kind, Layer, Network

ROOT = Path(__file__).parent.parent
PACKAGE = "hwsim.workloads" if importlib.util.find_spec("hwsim.workloads") else "workloads"
FAMILIES = sorted(path.stem for path in (ROOT / "workloads").glob("*.py") if not path.stem.startswith("_"))
PUBLISHED = list(csv.DictReader((ROOT / "tests/data/published_networks.csv").read_text(encoding="utf-8").splitlines()))


def family(name: str) -> Callable[..., Network]:
    function: Callable[..., Network] = getattr(importlib.import_module(f"{PACKAGE}.{name}"), name)
    return function


def network(spec: str) -> Network:
    """Return the network of `NAME:key=value,...`, values converted by the parameter's annotation."""
    name, _, text = spec.partition(":")
    types = typing.get_type_hints(family(name))
    pairs = [part.split("=") for part in text.split(",") if part]
    return family(name)(**{key: value == "true" if types[key] is bool else types[key](value) for key, value in pairs})


def weighted(net: Network) -> list[Layer]:
    """Return the layers that are matrix products, in order."""
    return [layer for layer in net.layers if layer.is_mac]


def row_name(row: dict[str, str]) -> str:
    return row["spec"]


@pytest.mark.parametrize("row", [row for row in PUBLISHED if row["parameters"]], ids=row_name)
def test_parameters_are_the_published_count(row: dict[str, str]) -> None:
    assert network(row["spec"]).parameters == int(row["parameters"]), row["source"]


@pytest.mark.parametrize("row", [row for row in PUBLISHED if row["macs"]], ids=row_name)
def test_macs_are_the_published_count_within_its_last_printed_digit(row: dict[str, str]) -> None:
    assert abs(network(row["spec"]).macs - int(row["macs"])) <= int(row["macs_tolerance"]), row["source"]


def test_every_published_row_names_its_source() -> None:
    assert all(row["source"] and (row["parameters"] or row["macs"]) for row in PUBLISHED)
    convolutional = csv.DictReader((ROOT / "tests/data/zoo_cnn.csv").read_text(encoding="utf-8").splitlines())
    assert {row["spec"].partition(":")[0] for row in (*PUBLISHED, *convolutional)} == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_builds_with_its_defaults_and_says_where_it_is_published(name: str) -> None:
    hints = typing.get_type_hints(family(name))
    assert hints.pop("return") is Network
    assert set(hints.values()) <= {int, float, str, bool}
    assert family(name)().source


def test_alexnet_has_the_parameters_and_macs_of_its_paper_layer_by_layer() -> None:
    # Krizhevsky et al. 2012, Fig. 2: filters x (channels per group x taps) + biases; times output positions
    expected = {
        "conv1": (96 * 3 * 121 + 96, 105_415_200),
        "conv2": (256 * 48 * 25 + 256, 223_948_800),
        "conv3": (384 * 256 * 9 + 384, 149_520_384),
        "conv4": (384 * 192 * 9 + 384, 112_140_288),
        "conv5": (256 * 192 * 9 + 256, 74_760_192),
        "fc6": (9216 * 4096 + 4096, 37_748_736),
        "fc7": (4096 * 4096 + 4096, 16_777_216),
        "fc8": (4096 * 1000 + 1000, 4_096_000),
    }
    assert {layer.name: (layer.parameters, layer.macs) for layer in weighted(network("alexnet"))} == expected
    assert [count for count, _ in expected.values()] == [
        34_944,
        307_456,
        885_120,
        663_936,
        442_624,
        37_752_832,
        16_781_312,
        4_097_000,
    ]


def test_alexnet_convolutions_have_the_macs_that_eyeriss_reports() -> None:
    # Chen et al., JSSC 52(1), 2017, Table V: GMACs of four images
    macs = [layer.macs for layer in weighted(network("alexnet:batch=4"))][:5]
    assert [round(count / 1e9, 2) for count in macs] == [0.42, 0.90, 0.60, 0.45, 0.30]


def test_alexnet_normalises_before_it_pools() -> None:
    names = [layer.name for layer in network("alexnet").layers]
    assert names[:8] == ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]
    assert names[-8:] == ["pool5", "flatten", "fc6", "relu6", "fc7", "relu7", "fc8", "softmax"]


def test_vgg16_has_the_parameters_and_macs_of_configuration_d_layer_by_layer() -> None:
    # Simonyan & Zisserman 2015, Table 1 D: (input channels, output channels, output rows and columns)
    stacks = [
        (3, 64, 224),
        (64, 64, 224),
        (64, 128, 112),
        (128, 128, 112),
        (128, 256, 56),
        *[(256, 256, 56)] * 2,
        (256, 512, 28),
        *[(512, 512, 28)] * 2,
        *[(512, 512, 14)] * 3,
    ]
    expected = [(9 * c * k + k, 9 * c * k * extent**2) for c, k, extent in stacks]
    expected += [(c * k + k, c * k) for c, k in [(512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)]]
    layers = weighted(network("vgg:depth=16"))
    assert [(layer.parameters, layer.macs) for layer in layers] == expected
    # as Keras prints them
    assert [layer.parameters for layer in layers] == [
        1_792,
        36_928,
        73_856,
        147_584,
        295_168,
        590_080,
        590_080,
        1_180_160,
        *[2_359_808] * 5,
        102_764_544,
        16_781_312,
        4_097_000,
    ]


def resnet_stage_macs(inputs: int, width: int, blocks: int, extent_in: int, extent: int) -> int:
    """Return MACs of a stage of bottlenecks whose first 1x1 convolution gives `extent_in` rows and columns."""
    first = inputs * width * extent_in**2 + (9 * width * width + width * 4 * width + inputs * 4 * width) * extent**2
    return first + (blocks - 1) * (4 * width * width + 9 * width * width + width * 4 * width) * extent**2


@pytest.mark.parametrize("v1_5", [True, False])
def test_resnet50_stages_have_the_extents_parameters_and_macs_of_the_paper(v1_5: bool) -> None:
    net = family("resnet")(50, stride_in_3x3=v1_5)
    stages = {stage: [layer for layer in net.layers if layer.name.startswith(f"conv{stage}")] for stage in range(1, 6)}
    # He et al. 2016, Table 1, "output size"; parameters as torchvision's layer1 ... layer4 have them
    assert [stages[stage][-1].output_shape[1:] for stage in stages] == [
        (64, 112, 112),
        (256, 56, 56),
        (512, 28, 28),
        (1024, 14, 14),
        (2048, 7, 7),
    ]
    assert [sum(layer.parameters for layer in stages[stage]) for stage in stages] == [
        9_536,
        215_808,
        1_219_584,
        7_098_368,
        14_964_736,
    ]
    early = [56, 56, 28, 14] if v1_5 else [56, 28, 14, 7]
    assert [sum(layer.macs for layer in stages[stage]) for stage in stages] == [
        64 * 3 * 49 * 112**2,
        resnet_stage_macs(64, 64, 3, early[0], 56),
        resnet_stage_macs(256, 128, 4, early[1], 28),
        resnet_stage_macs(512, 256, 6, early[2], 14),
        resnet_stage_macs(1024, 512, 3, early[3], 7),
    ]


@pytest.mark.parametrize(("depth", "projections"), [(18, 3), (34, 3), (50, 4), (101, 4), (152, 4)])
def test_resnet_projects_only_where_the_shape_changes(depth: int, projections: int) -> None:
    layers = family("resnet")(depth).layers
    assert sum(layer.name.endswith(".projection") for layer in layers) == projections
    assert sum(layer.kind is Kind.ELEMENTWISE for layer in layers) == {18: 8, 34: 16, 50: 16, 101: 33, 152: 50}[depth]


MOBILENET_V1 = [  # weights and MACs of MobilenetV1/Conv2d_0 ... Conv2d_13_pointwise: research/slim/nets/mobilenet_v1.py
    (864, 10_838_016),
    (288, 3_612_672),
    (2_048, 25_690_112),
    (576, 1_806_336),
    (8_192, 25_690_112),
    (1_152, 3_612_672),
    (16_384, 51_380_224),
    (1_152, 903_168),
    (32_768, 25_690_112),
    (2_304, 1_806_336),
    (65_536, 51_380_224),
    (2_304, 451_584),
    (131_072, 25_690_112),
    *[(4_608, 903_168), (262_144, 51_380_224)] * 5,
    (4_608, 225_792),
    (524_288, 25_690_112),
    (9_216, 451_584),
    (1_048_576, 51_380_224),
]


def test_mobilenet_v1_has_the_weights_and_macs_of_its_authors_layer_by_layer() -> None:
    *convolutions, classifier = weighted(network("mobilenet:version=1"))
    assert [(layer.weight_elements, layer.macs) for layer in convolutions] == MOBILENET_V1
    assert (classifier.parameters, classifier.macs) == (1024 * 1000 + 1000, 1024 * 1000)


def test_mobilenet_v1_at_three_quarters_width_has_the_totals_of_its_authors() -> None:
    # the second table in research/slim/nets/mobilenet_v1.py: 75 %, 128 x 128, without the classifier
    convolutions = weighted(network("mobilenet:version=1,width=0.75,image=128"))[:-1]
    assert sum(layer.weight_elements for layer in convolutions) == 1_800_144
    assert sum(layer.macs for layer in convolutions) == 106_002_432


def test_mobilenet_v1_has_the_input_shapes_of_table_1() -> None:
    # Howard et al. 2017, Table 1; its last depthwise layer prints stride 2 at 7 x 7 outputs, which needs stride 1
    table = [
        (224, 3),
        (112, 32),
        (112, 32),
        (112, 64),
        (56, 64),
        (56, 128),
        (56, 128),
        (56, 128),
        (28, 128),
        (28, 256),
        (28, 256),
        (28, 256),
        (14, 256),
        *[(14, 512), (14, 512)] * 5,
        (14, 512),
        (7, 512),
        (7, 1024),
        (7, 1024),
    ]
    convolutions = weighted(network("mobilenet:version=1"))[:-1]
    assert [(layer.input_shapes[0][2], layer.input_shapes[0][1]) for layer in convolutions] == table


def test_mobilenet_v2_has_the_input_shapes_of_table_2() -> None:
    # Sandler et al. 2018, Table 2, first block of each row: extent, channels
    layers = {layer.name: layer.input_shapes[0] for layer in network("mobilenet:version=2").layers}
    first = ["conv0", "block1.depthwise", *[f"block{i}.expand" for i in (2, 4, 7, 11, 14, 17)], "conv18", "pool"]
    assert [(layers[name][2], layers[name][1]) for name in first] == [
        (224, 3),
        (112, 32),
        (112, 16),
        (56, 24),
        (28, 32),
        (14, 64),
        (14, 96),
        (7, 160),
        (7, 320),
        (7, 1280),
    ]


def test_mobilenet_v2_adds_the_input_of_every_block_but_the_first_of_a_row() -> None:
    added = [layer.name for layer in network("mobilenet:version=2").layers if layer.kind is Kind.ELEMENTWISE]
    assert added == [f"block{index}.add" for index in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]


@pytest.mark.parametrize(
    ("width", "millions"), [(1.4, 6.06), (1.3, 5.34), (1.0, 3.47), (0.75, 2.61), (0.5, 1.95), (0.35, 1.66)]
)
def test_mobilenet_v2_widths_have_the_parameters_of_the_checkpoints(width: float, millions: float) -> None:
    # research/slim/nets/mobilenet/README.md, which leaves out batch normalisation
    layers = family("mobilenet")(2, width).layers
    assert round(sum(layer.parameters for layer in layers if layer.kind is not Kind.NORMALISATION) / 1e6, 2) == millions


@pytest.mark.parametrize(("channels", "rounded"), [(11.2, 16), (8.4, 8), (33.6, 32), (44.8, 48), (1, 8), (12, 16)])
def test_mobilenet_v2_channels_round_to_eights_at_most_a_tenth_lower(channels: float, rounded: int) -> None:
    # 11.2 rounds to 8, which is below 0.9 x 11.2 = 10.08, so 16; 8.4 rounds to 8 >= 7.56
    assert importlib.import_module(f"{PACKAGE}.mobilenet").divisible(channels) == rounded


def test_attention_is_two_products_of_every_head_around_a_softmax() -> None:
    net = family("attention")(batch=2, length=7, heads=3, head_size=5)
    assert [layer.name for layer in net.layers] == ["scores", "softmax", "attended"]
    # (2 x 3) heads of 7 x 5 by 5 x 7 and of 7 x 7 by 7 x 5
    assert net.macs == 2 * 3 * (7 * 5 * 7 + 7 * 7 * 5)
    assert net.parameters == 0
    assert net.layers[-1].output_shape == (2, 3, 7, 5)
    assert net.name == "attention_length7_heads3_head_size5"


def test_mlp_is_one_matrix_product_per_pair_of_neighbouring_sizes() -> None:
    net = family("mlp")("7-11", inputs=5, classes=3, batch=2)
    assert [layer.macs for layer in weighted(net)] == [2 * 5 * 7, 2 * 7 * 11, 2 * 11 * 3]
    assert net.parameters == 5 * 7 + 7 + 7 * 11 + 11 + 11 * 3 + 3
    assert net.name == "mlp-5-7-11-3"


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_recurrent_macs_are_every_gate_of_every_step(cell: str, gates: int) -> None:
    net = family(cell)(layers=2, hidden=11, inputs=7, steps=5, batch=3, bidirectional=True)
    # both directions; the second layer reads both directions of the first
    assert net.macs == 3 * 5 * 2 * gates * (7 * 11 + 11 * 11 + 22 * 11 + 11 * 11)


@given(batch=st.integers(1, 64), name=st.sampled_from(FAMILIES))
@settings(max_examples=40, deadline=None)
def test_a_batch_multiplies_macs_and_leaves_parameters(batch: int, name: str) -> None:
    one, many = family(name)(batch=1), family(name)(batch=batch)
    assert (many.macs, many.parameters, many.batch) == (batch * one.macs, one.parameters, batch)
    assert [layer.name for layer in many.layers] == [layer.name for layer in one.layers]


def test_the_largest_network_has_a_few_hundred_layers() -> None:
    # 50 blocks of 3 convolutions, 3 normalisations, 2 + 1 activations and an addition; 4 projections, each normalised;
    # the first convolution with normalisation, activation and pool; global pool, flatten, fc, softmax
    assert len(family("resnet")(152).layers) == 50 * 10 + 4 * 2 + 4 + 4


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vgg:depth=17", "vgg: depth=17 must be one of 11, 13, 16, 19"),
        ("vgg:image=31", "vgg: image=31 must be at least 32"),
        ("resnet:depth=51", "resnet: depth=51 must be one of 18, 34, 50, 101, 152"),
        ("resnet:width=0", "resnet: width=0 must be at least 1"),
        ("alexnet:image=66", "alexnet: image=66 must be at least 67"),
        ("alexnet:batch=0", "alexnet: batch=0 must be at least 1"),
        ("mobilenet:version=4", "mobilenet: version=4 must be one of 1, 2, 3"),
        ("mobilenet:width=0", "mobilenet: width=0.0 must be a finite number above 0"),
        ("mobilenet:width=nan", "mobilenet: width=nan must be a finite number above 0"),
        ("attention:heads=0", "attention: heads=0 must be at least 1"),
        ("mlp:hidden=300-0", "mlp: hidden='300-0' must be sizes of at least 1 joined by '-', as in '300-100'"),
        ("mlp:hidden=300-x", "mlp: hidden='300-x' must be sizes of at least 1 joined by '-', as in '300-100'"),
        ("lstm:steps=0", "lstm: steps=0 must be at least 1"),
        ("lstm:biases=3", "lstm: biases=3 must be one of 0, 1, 2"),
    ],
)
def test_an_impossible_parameter_is_named_with_what_is_allowed(spec: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        network(spec)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "spec", ["alexnet:image=67", "vgg:image=32", "resnet:image=1", "mobilenet:image=1", "mlp:hidden="]
)
def test_the_smallest_allowed_network_builds(spec: str) -> None:
    assert network(spec).macs > 0

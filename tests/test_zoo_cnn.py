"""The convolutional families against what papers and other implementations publish, and what each is known for.

`data/zoo_cnn.csv` has a row per variant with the source of its numbers; counts without tolerance were counted on the
named implementation. AlexNet, VGG, ResNet and MobileNet v1 and v2 stand in `data/published_networks.csv`.
"""

from __future__ import annotations

import csv
import importlib
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import catalog
from hwsim.errors import InputError
from hwsim.functional.forward import forward
from hwsim.ir import Kind, Network, NetworkBuilder

DATA = Path(__file__).parent / "data"
PUBLISHED = list(csv.DictReader((DATA / "zoo_cnn.csv").read_text(encoding="utf-8").splitlines()))

FAMILIES = (
    "alexnet", "densenet", "efficientnet", "fractalnet", "googlenet", "inception", "mobilenet", "nasnet", "nin",
    "preresnet", "resnext", "senet", "shufflenet", "squeezenet", "wideresnet", "zfnet",
)  # fmt: skip


def layer_names(net: Network, kind: Kind) -> list[str]:
    return [layer.name for layer in net.layers if layer.kind is kind]


def values(net: Network, x: NDArray[np.float32], tensors: dict[str, Any] | None = None) -> dict[str, Any]:
    return forward(net, {net.inputs[0].name: x}, tensors or {})


def row_name(row: dict[str, str]) -> str:
    return row["spec"]


@pytest.mark.parametrize("row", [row for row in PUBLISHED if row["parameters"]], ids=row_name)
def test_parameters_are_the_published_count(row: dict[str, str]) -> None:
    assert catalog.network(row["spec"]).parameters == int(row["parameters"]), row["source"]


@pytest.mark.parametrize("row", PUBLISHED, ids=row_name)
def test_macs_are_the_published_count(row: dict[str, str]) -> None:
    macs, tolerance = int(row["macs"]), int(row["macs_tolerance"])
    assert tolerance <= 0.005 * macs
    assert abs(catalog.network(row["spec"]).macs - macs) <= tolerance, row["source"]


def test_every_family_has_a_published_row_with_its_source() -> None:
    assert {row["spec"].partition(":")[0] for row in PUBLISHED} == set(FAMILIES)
    assert all(row["source"] for row in PUBLISHED)


def test_every_published_network_builds_in_less_than_100_ms() -> None:
    # the largest, pre-activation ResNet-1001, has 3340 layers
    specs = {row["spec"] for row in PUBLISHED}
    assert max(min(build_s(spec) for _ in range(3)) for spec in specs) < 0.1


def build_s(spec: str) -> float:
    begun = time.perf_counter()
    catalog.network(spec)
    return time.perf_counter() - begun


def test_published_variants_of_a_family_have_names_of_their_own() -> None:
    specs = {row["spec"] for row in PUBLISHED}
    assert len({catalog.network(spec).name for spec in specs}) == len(specs)


@pytest.mark.parametrize(("groups", "millions"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_shufflenet_v1_convolutions_have_the_complexity_of_its_table(groups: int, millions: int) -> None:
    # Zhang et al., CVPR 2018, Table 1, last row, which leaves out the fully connected layer
    net = catalog.network(f"shufflenet:version=1,groups={groups}")
    assert round(sum(layer.macs for layer in net.layers if layer.kind is Kind.CONV) / 1e6) == millions


def test_googlenet_has_the_extents_and_channels_of_its_table() -> None:
    # Szegedy et al., CVPR 2015, Table 1, "output size"
    shapes = {layer.name: layer.output_shape[1:3] for layer in catalog.network("googlenet").layers}
    named = ["conv1", "pool1", "conv2", "pool2", "inception3a.output", "inception3b.output", "pool3"]
    named += [
        *(f"inception4{letter}.output" for letter in "abcde"),
        "pool4",
        "inception5a.output",
        "inception5b.output",
    ]
    assert [shapes[name] for name in named] == [
        *[(64, 112), (64, 56), (192, 56), (192, 28), (256, 28), (480, 28), (480, 14)],
        *[(512, 14), (512, 14), (512, 14), (528, 14), (832, 14), (832, 7), (832, 7), (1024, 7)],
    ]


def test_auxiliary_heads_are_outputs_of_their_own() -> None:
    plain, heads = catalog.network("googlenet"), catalog.network("googlenet:heads=true")
    # each averages 14 x 14 positions to (14 - 5) // 3 + 1 = 4 x 4: a 1x1 convolution, 16 x 128 to 1024 to 1000
    classifier = 16 * 128 * 1024 + 1024 + 1024 * 1000 + 1000
    assert heads.parameters - plain.parameters == 512 * 128 + 128 + 528 * 128 + 128 + 2 * classifier
    assert layer_names(plain, Kind.SOFTMAX) == ["softmax"]
    assert layer_names(heads, Kind.SOFTMAX) == ["head1.softmax", "head2.softmax", "softmax"]
    unread = [layer.name for layer in heads.layers if layer.name not in heads.consumers]
    assert unread == ["head1.softmax", "head2.softmax", "softmax"]


def test_nin_has_the_parameters_of_its_convolutions_counted_by_hand() -> None:
    layers = {layer.name: layer.parameters for layer in catalog.network("nin").layers if layer.parameters}
    assert layers == {
        "conv1": 96 * 3 * 121 + 96,
        **dict.fromkeys(["cccp1", "cccp2"], 96 * 96 + 96),
        "conv2": 256 * 96 * 25 + 256,
        **dict.fromkeys(["cccp3", "cccp4"], 256 * 256 + 256),
        "conv3": 384 * 256 * 9 + 384,
        **dict.fromkeys(["cccp5", "cccp6"], 384 * 384 + 384),
        "conv4": 1024 * 384 * 9 + 1024,
        "cccp7": 1024 * 1024 + 1024,
        "cccp8": 1024 * 1000 + 1000,
    }


def test_densenet_concatenates_and_halves_the_channels_of_its_table() -> None:
    # 64 + 6 x 32 = 256, halved 128; + 12 x 32 = 512, 256; + 24 x 32 = 1024, 512; + 16 x 32 = 1024
    shapes = {layer.name: layer.output_shape[1:3] for layer in catalog.network("densenet").layers}
    ends = ["pool1", "block1_6.output", "transition1.pool", "block2_12.output", "transition2.pool"]
    ends += ["block3_24.output", "transition3.pool", "block4_16.output"]
    expected = [(64, 56), (256, 56), (128, 28), (512, 28), (256, 14), (1024, 14), (512, 7), (1024, 7)]
    assert [shapes[name] for name in ends] == expected


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_fractalnet_has_the_depth_and_the_joins_of_its_rule(columns: int) -> None:
    net = catalog.network(f"fractalnet:columns={columns}")
    # f(C + 1) has two f(C) and one convolution more: 2^C - 1; the deepest path doubles: 2^(C - 1)
    assert len(layer_names(net, Kind.CONV)) == 5 * (2**columns - 1)
    depth: Counter[str] = Counter()
    for layer in net.layers:
        depth[layer.name] = max(depth[name] for name in layer.inputs) + (layer.kind is Kind.CONV)
    assert max(depth.values()) == 5 * 2 ** (columns - 1)
    joins = [layer for layer in net.layers if layer.kind is Kind.ELEMENTWISE]
    # behind every second convolution of the deepest path, where two columns or more end
    assert len(joins) == 5 * (2**columns // 4)
    assert {layer.function for layer in joins} <= {"mean"}
    assert max((len(layer.inputs) for layer in joins), default=columns) == columns


def test_preactivation_adds_without_activating_and_projects_what_is_activated() -> None:
    net = catalog.network("preresnet:depth=50")
    layers = {layer.name: layer for layer in net.layers}
    for layer in net.layers:
        if layer.kind is Kind.ELEMENTWISE:
            assert not any(other.kind is Kind.ACTIVATION and layer.name in other.inputs for other in net.layers)
        if layer.name.endswith(".projection"):
            assert layers[layer.inputs[0]].kind in (Kind.ACTIVATION, Kind.POOL)


def test_squeeze_and_excitation_adds_two_small_matrices_to_every_block_of_resnet50() -> None:
    added = sum(
        blocks * (2 * channels * channels // 16 + channels // 16 + channels)
        for blocks, channels in ((3, 256), (4, 512), (6, 1024), (3, 2048))
    )
    assert catalog.network("senet").parameters - catalog.network("resnet").parameters == added


def test_squeeze_excitation_scales_channels_by_gates_of_their_means() -> None:
    net = NetworkBuilder("gated")
    from_blocks("squeeze_excitation")(net, "se", net.input("x", (1, 2, 1, 3)), 1)
    x = np.array([[[[1, 2, 3]], [[-4, 0, 1]]]], np.float32)
    # means 2 and -1; squeezed relu(2 x 1 + 3 x -1) = 0 + bias 0.5, excited to 1 x 0.5 and -2 x 0.5
    tensors = {
        "se.squeeze.weight": np.array([[[[1.0]], [[3.0]]]]),
        "se.squeeze.bias": np.array([1.5]),
        "se.excite.weight": np.array([[[[1.0]]], [[[-2.0]]]]),
        "se.excite.bias": np.array([0.0, 0.0]),
    }
    gates = 1 / (1 + np.exp(-np.array([0.5, -1.0])))
    assert values(net.build(), x, tensors)["se.scale"] == pytest.approx(x * gates[None, :, None, None])


@pytest.mark.parametrize(("groups", "order"), [(2, [0, 3, 1, 4, 2, 5]), (3, [0, 2, 4, 1, 3, 5])])
def test_channel_shuffle_deals_out_the_channels_of_the_groups(groups: int, order: list[int]) -> None:
    net = NetworkBuilder("shuffled")
    from_blocks("channel_shuffle")(net, "shuffle", net.input("x", (2, 6, 3, 3)), groups)
    x = np.arange(2 * 6 * 9, dtype=np.float32).reshape(2, 6, 3, 3)
    assert np.array_equal(values(net.build(), x)["shuffle.channels"], x[:, order])


def from_blocks(name: str) -> Any:
    """Return a function of the families' shared builders, which nothing imports statically."""
    return getattr(importlib.import_module(f"{catalog.FOLDERS['network']}._blocks"), name)


@pytest.mark.parametrize("image", [33, 35])
def test_nasnet_reads_every_second_position_and_those_between_them(image: int) -> None:
    net = catalog.network(f"nasnet:image={image}")
    x = np.random.default_rng(0).standard_normal(net.inputs[0].shape).astype(np.float32)
    found = values(net, x)
    given = found["stem2.before_relu"]
    # (33 - 3) // 2 + 1 = 16 rows or 17, of which the last between two has a neighbour or not
    padded = np.pad(given, ((0, 0), (0, 0), (0, 1), (0, 1)))
    assert np.array_equal(found["stem2.before_pool1"], given[:, :, ::2, ::2])
    half = -(-given.shape[2] // 2)
    assert np.array_equal(found["stem2.before_pool2"], padded[:, :, 1::2, 1::2][:, :, :half, :half])


@pytest.mark.parametrize(
    "spec",
    [
        "fractalnet:columns=3",
        "googlenet:image=64,variant=torchvision",
        "mobilenet:version=3,small=true,image=32",
        "preresnet:depth=20",
        "senet:depth=18,image=32",
        "shufflenet:image=32,batch=2",
        "shufflenet:version=1,image=32",
        "squeezenet:version=1.1,image=32",
        "wideresnet:depth=10,widen=2",
    ],
)
def test_values_of_a_whole_network_are_probabilities(spec: str) -> None:
    net = catalog.network(spec)
    x = np.random.default_rng(0).standard_normal(net.inputs[0].shape).astype(np.float32)
    classes = values(net, x)[net.layers[-1].name]
    assert classes.sum(axis=-1) == pytest.approx(np.ones(net.batch), abs=1e-5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("alexnet:one_column=true,image=66", "alexnet: image=66 must be at least 67"),
        ("densenet:depth=120", "densenet: depth=120 must be one of 121, 161, 169, 201"),
        ("efficientnet:variant=b8", "efficientnet: variant=b8 must be one of b0, b1, b2, b3, b4, b5, b6, b7"),
        ("fractalnet:columns=9", "fractalnet: columns=9 must be at most 8"),
        ("googlenet:variant=caffe", "googlenet: variant=caffe must be one of paper, torchvision"),
        ("googlenet:image=30", "googlenet: image=30 must be at least 31"),
        ("inception:image=74", "inception: image=74 must be at least 75"),
        ("mobilenet:small=true", "mobilenet: small=True is a network of version 3, not of version 2"),
        ("nasnet:size=small", "nasnet: size=small must be one of mobile, large"),
        ("nin:image=38", "nin: image=38 must be at least 39"),
        ("nin:dataset=svhn", "nin: dataset=svhn must be one of imagenet, cifar10"),
        ("preresnet:depth=21", "preresnet: depth=21 must be one of 18, 34, 50, 101, 152, 200, 20, 56, 110, 164, 1001"),
        ("preresnet:image=-1", "preresnet: image=-1 must be at least 1"),
        ("resnext:depth=18", "resnext: depth=18 must be one of 50, 101, 152"),
        ("senet:block=resnext,depth=152", "senet: block=resnext: depth=152 must be one of 50, 101"),
        ("shufflenet:groups=3", "shufflenet: groups=3 are of version 1; version 2 splits channels in two"),
        ("shufflenet:version=1,groups=5", "shufflenet: groups=5 must be one of 1, 2, 3, 4, 8"),
        ("shufflenet:width=0.75", "shufflenet: width=0.75 must be one of 0.5, 1.0, 1.5, 2.0"),
        (
            "shufflenet:version=1,width=0.31",
            "shufflenet: width=0.31 gives 74 channels, which do not divide into 4 x 3",
        ),
        ("squeezenet:version=1.2", "squeezenet: version=1.2 must be one of 1.0, 1.1"),
        ("wideresnet:depth=29", "wideresnet: depth=29 must be one of 10, 16, 22, 28, 34, 40, 50, 101"),
        ("zfnet:image=62", "zfnet: image=62 must be at least 63"),
    ],
)
def test_an_impossible_parameter_is_named_with_what_is_allowed(spec: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        catalog.network(spec)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "spec",
    [
        "alexnet:one_column=true,image=67",
        "densenet:image=29",
        "efficientnet:image=1",
        "fractalnet:image=32",
        "googlenet:image=31",
        "inception:image=75",
        "mobilenet:version=3,image=1",
        "nasnet:image=3",
        "nin:dataset=cifar10,image=4",
        "nin:image=39",
        "preresnet:image=1",
        "resnext:image=1",
        "senet:image=3",
        "shufflenet:image=1",
        "squeezenet:image=21",
        "squeezenet:version=1.1,image=17",
        "wideresnet:image=1",
        "zfnet:image=63",
    ],
)
def test_the_smallest_allowed_network_builds(spec: str) -> None:
    assert catalog.network(spec).macs > 0

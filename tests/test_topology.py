"""Networks from SCALE-Sim topology files have SCALE-Sim's sizes, and malformed files end in one sentence."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwsim.ir.topology
from hwsim.errors import InputError, UsageError
from hwsim.ir.network import Network
from hwsim.ir.topology import topology_network

CONV = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
GEMM = "Layer, M, N, K,\n"

ALEXNET = (
    CONV
    + """\
Conv1, 227, 227, 11, 11, 3, 96, 4,
Conv2, 31, 31, 5, 5, 96, 256, 1,
Conv3, 15, 15, 3, 3, 256, 384, 1,
Conv4, 15, 15, 3, 3, 384, 384, 1,
Conv5, 15, 15, 3, 3, 384, 256, 1,
"""
)
"""AlexNet with its padding in the sizes of the inputs."""

GROUPED_MACS = {
    # Krizhevsky et al., 2012: conv2, conv4 and conv5 see half of the channels
    "Conv1": 55 * 55 * 96 * 3 * 121,
    "Conv2": 27 * 27 * 256 * 48 * 25,
    "Conv3": 13 * 13 * 384 * 256 * 9,
    "Conv4": 13 * 13 * 384 * 192 * 9,
    "Conv5": 13 * 13 * 256 * 192 * 9,
}


def read(folder: Path, text: str | bytes, *, pad: bool = False) -> Network:
    path = folder / "net.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return topology_network(path, pad=pad)


def fault(folder: Path, text: str | bytes) -> str:
    """Return the sentence that reading a malformed file ends with."""
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_convolution_has_the_loop_bounds_of_its_row(tmp_path: Path) -> None:
    (layer,) = read(tmp_path, CONV + "first, 13, 17, 3, 5, 7, 11, 2,\n").layers
    assert (layer.P, layer.Q, layer.K, layer.C, layer.R, layer.S, layer.stride) == (6, 7, 11, 7, 3, 5, (2, 2))
    assert layer.macs == 6 * 7 * 11 * 7 * 3 * 5
    assert layer.parameters == 11 * 7 * 3 * 5


def test_product_is_m_by_k_times_k_by_n(tmp_path: Path) -> None:
    net = read(tmp_path, GEMM + "QKT, 1024, 512, 64,\nlast, 3, 5, 7\n")
    assert [(layer.N, layer.K, layer.C) for layer in net.layers] == [(1024, 512, 64), (3, 5, 7)]
    assert [layer.input_shapes[0] for layer in net.layers] == [(1024, 64), (3, 7)]
    assert net.macs == 1024 * 512 * 64 + 3 * 5 * 7


def test_every_layer_reads_an_input_of_its_own(tmp_path: Path) -> None:
    net = read(tmp_path, ALEXNET)
    assert [layer.inputs for layer in net.layers] == [(tensor.name,) for tensor in net.inputs]
    assert net.batch == 1


@given(taps=st.integers(1, 11), more=st.integers(0, 60), stride=st.integers(1, 7))
def test_outputs_round_up_as_in_scale_sim(
    taps: int, more: int, stride: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    height = taps + more
    folder = tmp_path_factory.mktemp("topology")
    (layer,) = read(folder, CONV + f"a, {height}, {taps}, {taps}, {taps}, 2, 3, {stride},\n").layers
    # scalesim 3.0.0, topology_utils.py, topo_calc_hyperparams
    assert ceil((height - taps + stride) / stride) == layer.P
    assert more // stride + 1 + (more % stride > 0) == layer.P
    assert layer.macs == layer.P * taps * taps * 2 * 3


def test_rounded_layers_are_noted_and_others_are_not(tmp_path: Path) -> None:
    net = read(tmp_path, CONV + "even, 13, 13, 3, 3, 1, 1, 2,\nodd, 224, 224, 11, 11, 3, 96, 4,\n")
    # (224 - 11 + 4) / 4 = 54.25: 55 outputs as AlexNet has, where 224 unpadded rows give other tools 54
    assert net.layers[1].P == 55
    assert [note for note in net.notes if "round up" in note] == [
        "outputs of 1 layers round up as SCALE-Sim rounds them, the last window reaching beyond the input: odd"
    ]


def test_alexnet_has_twice_the_work_in_its_grouped_layers(tmp_path: Path) -> None:
    macs = {layer.name: layer.macs for layer in read(tmp_path, ALEXNET).layers}
    assert macs["Conv2"] == 447_897_600 == 2 * 223_948_800
    factor = {"Conv1": 1, "Conv2": 2, "Conv3": 1, "Conv4": 2, "Conv5": 2}
    assert macs == {name: factor[name] * GROUPED_MACS[name] for name in GROUPED_MACS}


def test_note_says_what_a_topology_lacks(tmp_path: Path) -> None:
    notes = read(tmp_path, ALEXNET).notes
    assert "no padding, groups" in notes[0]
    assert "447,897,600 instead of 223,948,800" in notes[0]


def test_padding_gives_unpadded_sizes_their_outputs_back(tmp_path: Path) -> None:
    rows = [
        "Conv2, 27, 27, 5, 5, 96, 256, 1,",
        "down, 13, 13, 3, 3, 2, 3, 2,",
        "point, 13, 13, 1, 1, 2, 3, 2,",
        "line, 13, 13, 1, 3, 2, 3, 1,",
        "whole, 6, 6, 6, 6, 256, 4096, 1,",
    ]
    net = read(tmp_path, CONV + "\n".join(rows), pad=True)
    assert [(layer.P, layer.Q) for layer in net.layers] == [(27, 27), (7, 7), (7, 7), (13, 11), (1, 1)]
    assert net.layers[0].macs == 447_897_600
    assert any("'same' padding" in note for note in net.notes)
    assert read(tmp_path, CONV + rows[0]).layers[0].P == 23


def test_depthwise_layer_has_one_group_per_channel(tmp_path: Path) -> None:
    (layer,) = read(tmp_path, CONV + "DP_1, 13, 13, 3, 3, 7, 2, 1,\n").layers
    assert (layer.G, layer.C, layer.K) == (7, 1, 2)
    # SCALE-Sim's seven layers of one channel and two filters
    assert layer.macs == 7 * (11 * 11 * 9 * 2)


def test_sparsity_is_the_weight_density(tmp_path: Path) -> None:
    header = CONV.replace("Strides,", "Strides, Sparsity,")
    net = read(
        tmp_path, header + "a, 5, 5, 3, 3, 2, 6, 1, 1:4,\nb, 5, 5, 3, 3, 2, 6, 1, 3:3,\nc, 5, 5, 3, 3, 2, 6, 1,\n"
    )
    assert [layer.weight_density for layer in net.layers] == [0.25, 1.0, 1.0]
    assert read(tmp_path, "Layer, M, N, K, Sparsity,\nG, 3, 5, 16, 3:4,\n").layers[0].weight_density == 0.75


def test_strides_of_rows_and_columns_may_differ(tmp_path: Path) -> None:
    header = CONV.replace("Strides", "Stride height, Stride width")
    (layer,) = read(tmp_path, header + "a, 13, 13, 3, 3, 2, 5, 2, 5,\n").layers
    assert (layer.stride, layer.P, layer.Q) == ((2, 5), 6, 3)


def test_batch_size_is_the_batch_of_every_layer(tmp_path: Path) -> None:
    net = read(tmp_path, CONV.replace("Strides,", "Strides, Batch Size,") + "a, 13, 13, 3, 3, 2, 5, 1, 7,\n")
    assert (net.batch, net.layers[0].N) == (7, 7)


def test_columns_may_be_written_as_scale_sims_own_files_write_them(tmp_path: Path) -> None:
    plain = read(tmp_path, CONV + "a, 13, 13, 3, 3, 2, 5, 1,\n").layers
    others = [
        "\ufeff" + CONV.lower().replace(", ", ",").replace("num filter", "num  filters") + "a,13,13,3,3,2,5,1\r\n",
        CONV.replace(", ", "\t ").replace(",\n", "\n") + "a\t13\t13\t3\t3\t2\t5\t1\t\n",
        CONV + "\n,,,,,,,,\n\ta  ,13 ,13 ,3,3,2,5,1,#dw\n\n",
    ]
    for text in others:
        assert read(tmp_path, text).layers == plain


def test_equal_names_get_numbers_and_a_note(tmp_path: Path) -> None:
    net = read(tmp_path, GEMM + "G, 1, 2, 3,\nG, 1, 2, 3,\nG_2, 1, 2, 3,\nG.input, 1, 2, 3,\n, 1, 2, 3,\n")
    assert [layer.name for layer in net.layers] == ["G", "G_2", "G_2_2", "G.input_2", "row6"]
    assert "a further layer named 'G' is called 'G_2'" in net.notes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (CONV.replace(" Channels,", "") + "a, 5, 5, 3, 3, 1, 1,\n", "has no column 'channels'"),
        (CONV.replace(" Strides,", "") + "a, 5, 5, 3, 3, 1, 1,\n", "has no column 'strides'"),
        (CONV.replace("Layer name", "Name") + "a, 5, 5, 3, 3, 1, 1, 1,\n", "has no column 'layer name'"),
        ("Layer, M, N,\na, 1, 2,\n", "has no column 'k'"),
        (CONV.replace("Strides,", "Strides, Colour,"), "has the column 'colour' which is not known"),
        (CONV.replace("Strides,", "Strides, Channels,"), "has the column 'channels' twice"),
        (CONV, "has a header and no layers"),
        ("\n" + CONV + "a, 5, 5, 3, 3, 1, 1, 1,\n", "has no column"),
        (
            CONV + "a, 5, -5, 3, 3, 1, 1, 1,\n",
            "row 2, column 'ifmap width': '-5' is not a whole number from 1 to 2147483647",
        ),
        (CONV + "\na, 5, 5, 3, 3, 0, 1, 1,\n", "row 3, column 'channels': '0' is not"),
        (CONV + "a, 5, 5, 3, 3, 1, 2.5, 1,\n", "row 2, column 'num filter': '2.5' is not"),
        (CONV + "a, 5, 5, 3, 3, 1, 1_0, 1,\n", "row 2, column 'num filter': '1_0' is not"),
        (CONV + "a, 5, 5, 3, 3, 1, 1,\n", "row 2, column 'strides': '' is not"),
        (CONV + f"a, 5, 5, 3, 3, 1, {'9' * 5000}, 1,\n", "row 2, column 'num filter': '9999"),
        (CONV + "a, 5, 7, 6, 3, 1, 1, 1,\n", "row 2: the filter 6x3 of layer 'a' is larger than its input 5x7"),
        (CONV + "a, 5, 5, 3, 3, 1, 1, 1, 2:4\n", "row 2: '2:4' stands behind the last column 'strides'"),
        (
            "Layer, M, N, K, Sparsity,\na, 1, 2, 3, 5:4,\n",
            "row 2, column 'sparsity': '5:4' is not N:M with 1 <= N <= M",
        ),
        ("Layer, M, N, K, Sparsity,\na, 1, 2, 3, 1,\n", "row 2, column 'sparsity': '1' is not N:M"),
        ("\x00\x01\x02", "has no column"),
        (b"\x89PNG\r\n\x1a\n\xff\xd8", "is not a text file"),
        (b"", "is empty"),
    ],
)
def test_malformed_file_is_one_sentence_with_row_and_column(text: str | bytes, sentence: str, tmp_path: Path) -> None:
    assert sentence in fault(tmp_path, text)


def test_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no SCALE-Sim topology at"):
        topology_network(tmp_path / "absent.csv")


def test_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        topology_network(tmp_path)


def test_file_with_too_many_bytes_or_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hwsim.ir.topology, "MAX_ROWS", 4)
    assert "has 5 layers, more than the 4 read" in fault(tmp_path, ALEXNET)
    monkeypatch.setattr(hwsim.ir.topology, "MAX_BYTES", 100)
    assert "larger than the 100 bytes" in fault(tmp_path, ALEXNET)


def test_broken_bytes_give_a_network_or_one_sentence(tmp_path: Path) -> None:
    draw, networks = random.Random(41), 0
    for _ in range(300):
        broken = bytearray(ALEXNET.encode())
        broken[draw.randrange(len(broken))] = draw.randrange(256)
        with contextlib.suppress(InputError):
            networks += isinstance(read(tmp_path, bytes(broken[: draw.randrange(90, len(broken) + 1)])), Network)
    assert networks > 0


def test_importer_needs_neither_numpy_nor_pandas() -> None:
    program = "import sys, hwsim.ir.topology; assert not {'numpy', 'pandas', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

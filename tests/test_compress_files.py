"""Files of compressed networks: the published SqueezeNet and EIE's layer, and damaged ones."""

from __future__ import annotations

import io
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import hwsim as command
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim import catalog
from hwsim.compress.deep_compressed import _layout, deep_compressed_network
from hwsim.compress.eie_layer import eie_layer_network
from hwsim.errors import InputError, UsageError
from hwsim.ir import Network

GIVEN = Path(__file__).parents[2] / "shared" / "weights"
SQUEEZENET, FC8 = GIVEN / "compressed_SqueezeNet.net", GIVEN / "eie_alexnet_fc8.npz"

squeezenet = pytest.mark.skipif(not SQUEEZENET.exists(), reason="the published SqueezeNet is not beside the checkout")
authors = pytest.mark.skipif(not FC8.exists(), reason="the layer of EIE's authors is not beside the checkout")


def small_file(entries: int = 3) -> bytes:
    """Return a file with `entries` in each layer: codes 1, 0, 2, ... behind gaps of 5, 15, 1, ..."""
    layout = list(_layout())
    parts = [struct.pack(f"<{len(layout)}I", *[entries] * len(layout))]
    for index, one in enumerate(layout):
        codebook, bias = np.arange(256, dtype="<f4") + index, np.zeros(one.channels, "<f4")
        codebook[0] = 0
        codes, gaps = [(1, 0, 2)[i % 3] for i in range(entries)], [(5, 15, 1)[i % 3] for i in range(entries)]
        packed = [low | high << 4 for low, high in zip(gaps[::2], [*gaps[1::2], 0], strict=False)]
        parts += [codebook.tobytes(), bias.tobytes(), bytes(codes), bytes(packed)]
    return b"".join(parts)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.net"
    path.write_bytes(small_file())
    return path


def test_entries_stand_behind_their_gaps_and_padding_zeros_are_zeros(small: Path) -> None:
    network = deep_compressed_network(small)
    weights = network.tensors["fire2.squeeze1x1.weight"].reshape(-1)
    # gap 5: place 5; gap 15 and code 0: place 21 stays zero; gap 1: place 23
    assert np.flatnonzero(weights).tolist() == [5, 23]
    assert weights[[5, 23]].tolist() == [2, 3]  # the codebook of layer 1 counts from 1


def test_the_network_is_squeezenet(small: Path) -> None:
    network = deep_compressed_network(small)
    # Iandola et al., Table 1: 1,248,424 parameters with biases; conv10 reads 13 x 13
    assert network.parameters == 1_248_424
    final = next(layer for layer in network.layers if layer.name == "conv_final")
    assert (final.P, final.Q) == (13, 13)
    assert {layer.name for layer in network.layers if layer.is_mac} == {one.name for one in _layout()}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_truncated_file_is_one_sentence(data: st.DataObject) -> None:
    whole = small_file()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut.net"
        path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
        with pytest.raises(InputError, match="ends after"):
            deep_compressed_network(path)


def test_a_truncated_file_ends_the_command_with_3(small: Path) -> None:
    small.write_bytes(small.read_bytes()[:-1])
    ran = command("run", small, "--on", "systolic")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
    assert "ends after" in ran.err


def test_more_than_the_layers_entries_beyond_a_layer_and_huge_counts_are_input_errors(small: Path) -> None:
    whole = small_file()
    cases = {
        "more than its layers": whole + b"x",
        "lead beyond its": small_file(6000),
        "ends after": struct.pack("<I", 2**32 - 1) + whole[4:],
        "not finite": whole[:108] + struct.pack("<f", float("nan")) + whole[112:],
    }
    for said, data in cases.items():
        small.write_bytes(data)
        with pytest.raises(InputError, match=said):
            deep_compressed_network(small)


@pytest.mark.parametrize("spec", ["layers=some", "bits=0", "bits=9"])
def test_impossible_parameters_are_input_errors(small: Path, spec: str) -> None:
    assert command("run", f"{small}:{spec}", "--on", "systolic").code == 3


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        deep_compressed_network(tmp_path / "none.net")
    assert command("run", tmp_path / "none.npz", "--on", "eie").code == 2


@squeezenet
def test_the_published_squeezenet_has_the_weights_that_its_description_counts() -> None:
    network = deep_compressed_network(SQUEEZENET)
    weights = [tensor for name, tensor in network.tensors.items() if name.endswith(".weight")]
    assert sum(tensor.size for tensor in weights) == 1_244_448
    assert sum(np.count_nonzero(tensor) for tensor in weights) / 1_244_448 == pytest.approx(0.334, abs=0.0005)
    density = {layer.name: layer.weight_density for layer in network.layers if layer.is_mac}
    assert density["conv_final"] == pytest.approx(0.20, abs=0.005)
    assert density["fire4.expand3x3"] == pytest.approx(0.33, abs=0.005)


@squeezenet
def test_the_sparse_layers_of_squeezenet_run_on_eie_with_shared_weights() -> None:
    result = hwsim.simulate(f"{SQUEEZENET}:layers=sparse,bits=4", on="eie")
    final = next(row for row in result.rows if row["layer"] == "conv_final")
    # 102k non-zeros at each of 13 x 13 positions
    assert final["useful_macs"] == pytest.approx(0.2 * 512_000 * 169, rel=0.005)
    assert len(result.rows) == 13
    with pytest.raises(InputError, match="255 different weights, and a codebook of 4 bits holds 15"):
        hwsim.simulate(f"{SQUEEZENET}:layers=sparse", on="eie")


@authors
@pytest.mark.parametrize("fidelity", ["closed", "stepped"])
def test_the_authors_layer_takes_the_cycles_of_their_simulator(fidelity: str) -> None:
    (row,) = hwsim.simulate(str(FC8), on="eie", fidelity=fidelity).rows
    assert row["useful_macs"] == 453_748
    assert row["padding_zeros"] == 0
    assert row["broadcasts"] == 1_759 + 1  # and the bias
    assert row["total_cycles"] == 7_926  # 9.9 us at 800 MHz


@authors
@pytest.mark.parametrize(
    "chip", ["pes=1", "pes=8", "pes=32", "pes=128", "fifo_depth=1", "fifo_depth=2", "fifo_depth=64"]
)
def test_the_authors_layer_is_the_same_work_on_other_sizes(chip: str) -> None:
    (row,) = hwsim.simulate(str(FC8), on=f"eie:{chip}").rows
    assert row["useful_macs"] == 453_748
    assert row["total_cycles"] >= row["theoretical_cycles"] + 8


def layer_file(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "codes": np.array([[1, 0, 3, 2], [0, 2, 0, 1]], np.uint8),
        "codebook": np.array([0, 0.5, -0.25, 1], np.float32),
        "activations": np.array([1.0, 0.0, 2.0], np.float32),
    }
    kept = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(path, **kept)
    return path


def test_a_layer_file_is_a_layer_with_biases_and_its_vector(tmp_path: Path) -> None:
    network = eie_layer_network(layer_file(tmp_path / "tiny.npz"))
    assert network.tensors["layer.weight"].tolist() == [[0.5, 0, 1], [0, -0.25, 0]]
    assert network.tensors["layer.bias"].tolist() == [-0.25, 0.5]
    (row,) = hwsim.simulate(network, on="eie:pes=2").rows
    # columns 0 and 2 with one entry each, and the biases with two
    assert (row["useful_macs"], row["broadcasts"]) == (4, 3)


BAD_LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("has no array 'codebook'", {"codebook": None}),
    ("below 2, its codebook's size", {"codebook": np.zeros(2, np.float32)}),
    ("4 columns need as many activations", {"activations": np.zeros(2, np.float32)}),
    ("must be finite", {"activations": np.array([np.nan, 1, 1])}),
    ("'codes' has 1 dimensions", {"codes": np.zeros(4, np.uint8)}),
    ("damaged", {"codebook": np.array([{}], object)}),
]


@pytest.mark.parametrize(("said", "changes"), BAD_LAYERS, ids=[said for said, _ in BAD_LAYERS])
def test_layer_files_that_contradict_themselves_are_input_errors(
    said: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        eie_layer_network(layer_file(tmp_path / "bad.npz", **changes))


def undamaged() -> bytes:
    """Return a layer's file: five columns, the first of biases, of three rows."""
    buffer = io.BytesIO()
    np.savez(buffer, codes=np.ones((3, 5), np.uint8), codebook=np.arange(4.0), activations=np.ones(4))
    return buffer.getvalue()


def test_an_undamaged_layer_file_is_a_network(tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    path.write_bytes(undamaged())
    found = catalog.network(str(path))
    assert isinstance(found, Network)
    assert (found.layers[0].C, found.layers[0].K, found.macs) == (4, 3, 12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_damaged_layer_file_is_an_input_error_or_still_read(data: st.DataObject) -> None:
    whole = bytearray(undamaged())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole = whole[: max(1, at)]
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.npz"
        path.write_bytes(bytes(whole))
        with suppress(InputError):
            assert isinstance(catalog.network(str(path)), Network)

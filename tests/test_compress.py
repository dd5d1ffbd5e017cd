"""Pruning, sharing, Huffman coding and low rank: what they keep, what they save, and the error they cause."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim import catalog
from hwsim.compress import Compressed, deep_compress, factorise, huffman_bits, prune, share, with_weights
from hwsim.compress.huffman import code_lengths
from hwsim.compress.pipeline import ALEXNET_DENSITY
from hwsim.compress.report import relative_gaps, sparse_bits
from hwsim.compress.sharing import centroids, shared_values
from hwsim.compress.weights import Array, matrix_of
from hwsim.compress.winograd import INPUT, OUTPUT, transformed
from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder


def two_layers(rows: int = 31, cols: int = 53) -> Network:
    net = NetworkBuilder("two")
    x = net.activation("relu", net.linear("first", net.input("x", (1, cols)), rows))
    net.linear("second", x, 17)
    return with_weights(net.build())


def matrix(network: Network, layer: str) -> Array:
    return matrix_of(network, next(one for one in network.layers if one.name == layer))


def densities(network: Network) -> dict[str, float]:
    return {one.name: one.weight_density for one in network.layers if one.is_mac}


def test_seeded_weights_are_the_same_again_and_have_the_variance_that_keeps_a_scale() -> None:
    net = NetworkBuilder("one")
    net.linear("fc", net.input("x", (1, 400)), 300)
    first, again, other = (matrix(with_weights(net.build(), seed), "fc") for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert first.var() == pytest.approx(2 / 400, rel=0.03)
    # a Laplace distribution has kurtosis 6, a normal one 3
    assert (first**4).mean() / first.var() ** 2 == pytest.approx(6, rel=0.1)


def test_given_weights_are_left_as_they_are() -> None:
    network = two_layers()
    assert with_weights(network, seed=9).tensors is not network.tensors
    assert (matrix(with_weights(network, seed=9), "first") == matrix(network, "first")).all()


def test_pruning_by_density_keeps_the_largest_weights_of_each_layer() -> None:
    network = two_layers()
    pruned = prune(network, density=0.1)
    for one in pruned.layers:
        before, after = matrix(network, one.layer), matrix(pruned.network, one.layer)
        kept = after != 0
        assert kept.sum() == round(0.1 * before.size) == one.nonzeros
        assert (after[kept] == before[kept]).all()
        assert np.abs(before[~kept]).max() <= np.abs(before[kept]).min()
        assert one.error == pytest.approx(np.linalg.norm(before[~kept]) / np.linalg.norm(before))
    assert densities(pruned.network) == {one.layer: one.density for one in pruned.layers}
    assert densities(network) == {"first": 1.0, "second": 1.0}


def test_pruning_by_threshold_keeps_what_is_not_below_it() -> None:
    network = two_layers()
    pruned = prune(network, threshold=0.2, layers=["first"])
    before, after = matrix(network, "first"), matrix(pruned.network, "first")
    assert (after == np.where(np.abs(before) >= 0.2, before, 0)).all()
    assert (matrix(pruned.network, "second") == matrix(network, "second")).all()
    assert [one.layer for one in pruned.layers] == ["first"]


def test_one_threshold_for_all_layers_prunes_the_one_with_smaller_weights_more() -> None:
    network = two_layers()  # weights of the second are larger: fewer inputs, 2 / 31 against 2 / 53
    pruned = prune(network, density=0.2, together=True)
    assert pruned.density == pytest.approx(0.2, abs=0.001)
    assert pruned.layers[0].density < 0.2 < pruned.layers[1].density


@pytest.mark.slow
@pytest.mark.parametrize("pes", [2, 5])
def test_balanced_pruning_leaves_every_pe_the_same_share(pes: int) -> None:
    pruned = matrix(prune(two_layers(40, 50), density=0.1, balance=pes, layers=["first"]).network, "first")
    kept = [np.count_nonzero(pruned[pe::pes]) for pe in range(pes)]
    assert set(kept) == {40 // pes * 50 // 10}


def test_balanced_pruning_makes_eie_faster() -> None:
    network = two_layers(640, 200)
    uneven, even = (
        hwsim.simulate(share(prune(network, density=0.1, balance=pes).network).network, on="eie:pes=16").rows[0]
        for pes in (1, 16)
    )
    assert even["useful_macs"] == pytest.approx(uneven["useful_macs"], rel=0.01)
    assert even["total_cycles"] < uneven["total_cycles"]


@pytest.mark.parametrize(
    "how",
    [{}, {"density": 0.1, "threshold": 1.0}, {"density": 0.0}, {"density": 1.5}, {"density": {"first": -1.0}},
     {"threshold": 0.1, "balance": 2}, {"density": 0.1, "balance": 0}, {"density": {"third": 0.1}}],
)  # fmt: skip
def test_impossible_prunings_are_input_errors(how: dict[str, float]) -> None:
    with pytest.raises(InputError):
        prune(two_layers(), **how)  # type: ignore[arg-type]


def test_a_network_without_weights_says_what_gives_it_some() -> None:
    with pytest.raises(InputError, match="with_weights"):
        prune(catalog.network("mlp"), density=0.1)


def test_shared_weights_are_at_most_2_to_the_bits_and_zeros_stay() -> None:
    pruned = prune(two_layers(), density=0.3).network
    shared = share(pruned, bits=4)
    for one in shared.layers:
        before, after = matrix(pruned, one.layer), matrix(shared.network, one.layer)
        assert ((before == 0) == (after == 0)).all()
        assert len(np.unique(after[after != 0])) <= 15
        assert 0 < one.error < 0.2
    assert share(pruned, bits=6).layers[0].error < shared.layers[0].error


def test_k_means_from_even_spacing_by_hand() -> None:
    # centroids begin at 1, 5.5, 10; 1 2 3 | 6 | 9 10 are nearest: means 2, 6, 9.5, which move nothing more
    assert centroids(np.array([1.0, 2, 3, 6, 9, 10]), 3).tolist() == [2, 6, 9.5]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-9, 9, width=32).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=60), st.integers(1, 5))
def test_no_other_entry_of_the_codebook_is_nearer_and_entries_are_means(values: list[float], bits: int) -> None:
    given_values = np.array(values)
    shared = shared_values(given_values, bits)
    codebook = np.unique(shared)
    assert len(codebook) < 2**bits
    distance = np.abs(given_values[:, None] - codebook).min(axis=1)
    assert np.abs(given_values - shared) == pytest.approx(distance, abs=1e-12)
    for entry in codebook:
        assert given_values[shared == entry].mean() == pytest.approx(entry, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("bits", [0, 17])
def test_codebooks_of_other_sizes_are_input_errors(bits: int) -> None:
    with pytest.raises(InputError, match=f"a codebook of {bits} bits"):
        share(two_layers(), bits=bits)


def test_huffman_codes_of_the_textbook() -> None:
    # Cormen et al., Introduction to Algorithms, Sec. 16.3: a:45 b:13 c:12 d:16 e:9 f:5 take 224 (thousand) bits
    counts = [45, 13, 12, 16, 9, 5]
    assert code_lengths(counts) == [1, 3, 3, 3, 4, 4]
    assert huffman_bits(np.repeat(np.arange(6), counts)) == 224


def test_a_single_symbol_takes_a_bit_and_none_takes_none() -> None:
    assert code_lengths([0, 7, 0]) == [0, 1, 0]
    assert huffman_bits(np.array([3, 3])) == 2
    assert huffman_bits(np.array([])) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40))
def test_huffman_codes_fill_their_tree_and_are_within_a_bit_of_the_entropy(counts: list[int]) -> None:
    lengths = code_lengths(counts)
    assert sum(2.0**-length for length in lengths) == 1
    shares = np.array(counts) / sum(counts)
    entropy = -(shares * np.log2(shares)).sum()
    mean = (shares * lengths).sum()
    assert entropy - 1e-9 <= mean < entropy + 1


def test_relative_gaps_and_their_padding_by_hand() -> None:
    flat = np.zeros(40)
    flat[[2, 3, 36]] = 1  # 2 zeros, none, 32: two padding zeros of 16 with 4 bits
    assert relative_gaps(flat).tolist() == [2, 0, 32]
    assert sparse_bits(flat, 8, 4) == (3 + 2) * 12


def test_low_rank_factors_are_exact_for_a_matrix_of_that_rank() -> None:
    generator = np.random.default_rng(3)
    net = NetworkBuilder("one")
    net.linear("fc", net.input("x", (3, 40)), 30, weights=("w",))
    low = generator.standard_normal((30, 4)) @ generator.standard_normal((4, 40))
    network = net.build(tensors={"w": low})
    for how in ({"rank": 4}, {"energy": 1.0}):
        found = factorise(network, **how)
        rows, cols = matrix(found.network, "fc"), matrix(found.network, "fc.rows")
        assert rows.shape == (30, 4)
        assert rows @ cols == pytest.approx(low, abs=1e-4)
        assert found.layers[0].error == pytest.approx(0, abs=1e-6)
        assert found.layers[0].ratio == pytest.approx(30 * 40 / (4 * 70))
        assert found.network.macs == 3 * 4 * 70
        assert found.network.parameters == 4 * 70 + 30


def test_the_error_of_a_rank_is_that_of_the_singular_values_left_out() -> None:
    network = two_layers()
    found = factorise(network, rank=5, layers=["first"])
    singular = np.linalg.svd(matrix(network, "first"), compute_uv=False)
    expected = np.sqrt((singular[5:] ** 2).sum() / (singular**2).sum())
    assert found.layers[0].error == pytest.approx(expected, rel=1e-4)
    approximated = matrix(found.network, "first") @ matrix(found.network, "first.rows")
    error = np.linalg.norm(approximated - matrix(network, "first")) / np.linalg.norm(matrix(network, "first"))
    assert error == pytest.approx(expected, rel=1e-4)


def test_a_factorised_network_runs() -> None:
    found = factorise(two_layers(), rank=5)
    assert [layer.name for layer in found.network.layers] == ["first.rows", "first", "relu", "second.rows", "second"]
    assert hwsim.simulate(found.network, on="systolic").total["macs"] == 5 * (53 + 31) + 5 * (31 + 17)


def test_factors_that_are_not_smaller_are_left_out() -> None:
    assert factorise(two_layers(), rank=40).layers == ()


@pytest.mark.parametrize("how", [{}, {"rank": 1, "energy": 0.5}, {"rank": 0}, {"energy": 0.0}, {"energy": 1.1}])
def test_impossible_factorisations_are_input_errors(how: dict[str, float]) -> None:
    with pytest.raises(InputError, match="a factorisation"):
        factorise(two_layers(), **how)  # type: ignore[arg-type]


def test_winograds_products_are_the_convolution() -> None:
    generator = np.random.default_rng(5)
    filters, image = generator.standard_normal((1, 4, 3, 3, 3)), generator.standard_normal((3, 4, 4))
    places = np.einsum("ir,crs,js->ijc", INPUT, image, INPUT).reshape(16, 3)
    products = np.einsum("tkc,tc->tk", transformed(filters), places).reshape(4, 4, 4)
    outputs = np.einsum("pi,ijk,qj->kpq", OUTPUT, products, OUTPUT)
    for k, p, q in product(range(4), range(2), range(2)):
        assert outputs[k, p, q] == pytest.approx((filters[0, k] * image[:, p : p + 3, q : q + 3]).sum())


def compressed_as_alexnet(network: Network) -> Compressed:
    return deep_compress(network, ALEXNET_DENSITY, bits=4)


def check_alexnet(found: Compressed) -> None:
    """Hold a network against what Deep Compression makes of AlexNet's fully connected layers."""
    assert [one.layer for one in found.layers] == ["fc6", "fc7", "fc8"]
    assert [round(one.density, 2) for one in found.layers] == [0.09, 0.09, 0.25]
    assert 9 < 1 / found.density < 10
    for one in found.layers:
        weights = matrix(found.network, one.layer)
        assert len(np.unique(weights)) <= 16
        # Huffman codes take less than 4 + 4 bits per entry, and more than 4
        assert 4 * one.nonzeros < one.bits_after < sparse_bits(weights, 4, 4) + 16 * 32
    # 32 bits / (8 bits x 0.09 and some padding) is some 40 times, and Huffman coding adds to it
    assert 35 < found.ratio < 60


def test_a_small_alexnet_is_pruned_and_shared_as_the_large_one() -> None:
    net = NetworkBuilder("small")
    x = net.input("x", (1, 921))
    for name, width in (("fc6", 409), ("fc7", 409), ("fc8", 100)):
        x = net.activation(f"{name}.relu", net.linear(name, x, width))
    found = compressed_as_alexnet(net.build())
    check_alexnet(found)
    result = hwsim.simulate(found.network, on="eie")
    assert result.rows[0]["useful_macs"] == found.layers[0].nonzeros


@pytest.mark.slow
def test_alexnets_fully_connected_layers_are_pruned_9_times_and_share_16_weights() -> None:
    found = compressed_as_alexnet(catalog.network("alexnet"))
    check_alexnet(found)

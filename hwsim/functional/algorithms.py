"""Algorithms of products by name: the kernel that computes each, what it saves and adds, and a bound of its error.

Every count is of a whole layer. `ALGORITHMS` holds all of them; `candidates` those that compute a given layer. None of
this needs NumPy or numba before `Algorithm.compute` is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hwsim.errors import unknown_name
from hwsim.functional.algorithm_costs import (
    UNIT_ROUNDOFF,
    fourier_additions,
    fourier_growth,
    fourier_multiplications,
    gamma,
    minimal_growth,
    none,
    nonzero,
    plain,
    separable_multiplications,
    separable_words,
    spectrum_words,
    strassen_additions,
    strassen_growth,
    strassen_multiplications,
    strassen_words,
    summed,
    tiles,
    transforms,
    unrolled_words,
    weights,
)
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.minimal_filters import F2X2_3X3, F4X4_3X3, MinimalFilter
from hwsim.units import ceil_div

Count = Callable[[Layer], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Algorithm:
    """One way of computing a layer's products.

    `carriers` are the types of operands it takes. `multiplications` are all, those of transforms included; `additions`
    those of transforms alone, beyond the sums of products. `traffic_words` are written between its passes and read
    again; `weight_words` are the prepared weights'. `error_growth` is c in
    |error| <= c u max |x| max_k sum |w_k|, with u = 2^-24 and the sum over filter k; integers have none.
    """

    name: str
    function: str
    carriers: tuple[str, ...]
    supports: Callable[[Layer], bool]
    source: str
    multiplications: Count = plain
    additions: Count = none
    traffic_words: Count = none
    weight_words: Count = weights
    error_growth: Callable[[Layer], float] = none

    @property
    def compute(self) -> Callable[..., Any]:
        """The kernel, from `hwsim.functional.kernels`."""
        module, _, function = self.function.rpartition(".")
        kernel: Callable[..., Any] = getattr(import_module(f"hwsim.functional.kernels.{module}"), function)
        return kernel

    def multiplications_per_output(self, layer: Layer) -> float:
        """Return multiplications over outputs of all steps."""
        return self.multiplications(layer) / (layer.steps * layer.output_elements)

    def error_bound(self, layer: Layer, largest_input: float, largest_filter: float) -> float:
        """Return the largest error an output can have in fp32.

        `largest_input` is max |x| and `largest_filter` the largest sum |w| over one filter, or column of a product.
        """
        return self.error_growth(layer) * UNIT_ROUNDOFF * largest_input * largest_filter


def is_convolution(layer: Layer) -> bool:
    """Return whether the layer is a convolution."""
    return layer.kind is Kind.CONV


def is_product(layer: Layer) -> bool:
    """Return whether the layer is one matrix product."""
    return layer.kind is Kind.MATMUL and layer.G == 1


def is_minimal(layer: Layer) -> bool:
    """Return whether Winograd's filters serve: 3 x 3, every place, no place left out."""
    places = (layer.R, layer.S, layer.stride, layer.dilation)
    return is_convolution(layer) and places == (3, 3, (1, 1), (1, 1))


def winograd(name: str, by: MinimalFilter) -> Algorithm:
    """Return minimal filtering with `by`."""
    places = by.tile**2
    side = f"{by.outputs}x{by.outputs}_{by.taps}x{by.taps}"
    return Algorithm(
        name=name,
        function=f"winograd.f{side}",
        carriers=("float32",),
        supports=is_minimal,
        source="Lavin & Gray, CVPR 2016, Sec. 4",
        multiplications=lambda layer: tiles(layer, by) * places * layer.G * layer.C * layer.K,
        additions=lambda layer: (
            tiles(layer, by) * layer.G * (layer.C * by.input_additions + layer.K * by.output_additions)
        ),
        traffic_words=lambda layer: 2 * tiles(layer, by) * places * layer.G * (layer.C + layer.K),
        weight_words=lambda layer: places * layer.G * layer.C * layer.K,
        error_growth=lambda layer: minimal_growth(layer, by),
    )


ALGORITHMS: dict[str, Algorithm] = {
    one.name: one
    for one in (
        Algorithm(
            name="direct",
            function="convolution.direct",
            carriers=("float32", "int8"),
            supports=is_convolution,
            source="the operator's definition",
            error_growth=summed,
        ),
        Algorithm(
            name="im2col",
            function="convolution.im2col",
            carriers=("float32", "int8"),
            supports=is_convolution,
            source="Chellapilla, Puri & Simard, IWFHR 2006",
            traffic_words=unrolled_words,
            error_growth=summed,
        ),
        winograd("winograd_f2", F2X2_3X3),
        winograd("winograd_f4", F4X4_3X3),
        Algorithm(
            name="fft",
            function="fourier.convolved",
            carriers=("float32",),
            supports=is_convolution,
            source="Mathieu, Henaff & LeCun, ICLR 2014, Sec. 2",
            multiplications=fourier_multiplications,
            additions=fourier_additions,
            traffic_words=lambda layer: 2 * transforms(layer) * spectrum_words(layer),
            weight_words=lambda layer: spectrum_words(layer) * layer.G * layer.C * layer.K,
            error_growth=fourier_growth,
        ),
        Algorithm(
            name="depthwise",
            function="convolution.depthwise",
            carriers=("float32", "int8"),
            supports=lambda layer: layer.is_depthwise,
            source="the operator's definition",
            error_growth=lambda layer: gamma(2 * layer.reduction),
        ),
        Algorithm(
            name="separable",
            function="separable.convolved",
            carriers=("float32",),
            supports=lambda layer: layer.is_depthwise,
            source="Mamalet & Garcia, ICANN 2012, Sec. 2",
            multiplications=separable_multiplications,
            traffic_words=separable_words,
            weight_words=lambda layer: layer.G * (layer.R + layer.S),
            # the sums of an outer product's factors multiply to sum |w|; each is rounded once, and a filter may differ
            # from an outer product by 4 eps = 8 u of its norm in each of min(R, S) - 1 directions
            error_growth=lambda layer: gamma(2 * (layer.R + layer.S) + 2) + 8 * layer.R * layer.S,
        ),
        Algorithm(
            name="blocked",
            function="products.blocked",
            carriers=("float32",),
            supports=is_product,
            source="Goto & van de Geijn, ACM TOMS 34(3), 2008",
            error_growth=summed,
        ),
        Algorithm(
            name="blocked_int8",
            function="products.integer",
            carriers=("int8",),
            supports=is_product,
            source="Goto & van de Geijn, ACM TOMS 34(3), 2008",
        ),
        Algorithm(
            name="strassen",
            function="products.strassen",
            carriers=("float32",),
            supports=is_product,
            source="Strassen, Numerische Mathematik 13, 1969",
            multiplications=strassen_multiplications,
            additions=strassen_additions,
            traffic_words=strassen_words,
            error_growth=strassen_growth,
        ),
        Algorithm(
            name="xnor",
            function="binary.product",
            carriers=("binary",),
            supports=is_product,
            source="Rastegari et al., ECCV 2016, Sec. 3.2",
            multiplications=none,
            weight_words=lambda layer: layer.K * ceil_div(layer.C, 64),
        ),
        Algorithm(
            name="zero_skipping",
            function="ternary.product",
            carriers=("ternary",),
            supports=is_product,
            source="Li, Zhang & Liu, Ternary weight networks, 2016",
            multiplications=none,
            additions=nonzero,
            weight_words=lambda layer: round(layer.weight_density * layer.weight_elements),
        ),
    )
}
"""By name."""


def algorithm(name: str) -> Algorithm:
    """Return the algorithm of that name; raises `UsageError` where there is none."""
    if name not in ALGORITHMS:
        raise unknown_name("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def candidates(layer: Layer, carrier: str = "float32") -> tuple[Algorithm, ...]:
    """Return the algorithms that compute `layer` on operands of type `carrier`; "separable" as far as filters allow."""
    return tuple(one for one in ALGORITHMS.values() if carrier in one.carriers and one.supports(layer))

"""The constants of a library's kernels on a machine: fitted, borrowed from the machine nearest to it, or ideal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from hwsim.arch.calibration import Calibration
from hwsim.arch.source import Source
from hwsim.measured import calibrations

GEMM = {
    "efficiency": 1.0, "edge_elements": 0.0, "l2_bytes_per_cycle": inf, "prologue_us": 0.0, "bandwidth_share": 1.0,
    "ramp_us": 0.0, "launch_us": 0.0, "overlap_exponent": inf, "reduction_us": 0.0, "sustained_share": 0.0,
    "step_us": 0.0, "tail_share": 0.0, "throttle_slope": 0.0, "throttle_from_us": 1.0, "throttle_span": 0.0,
    "narrow_columns": inf,
}  # fmt: skip
"""Constants of a matrix product in the kernels' order, with their values on an ideal machine.

`efficiency` is the share of peak that the largest tile reaches and `edge_elements` what a tile loses at its edges (TM /
(TM + edge)); `l2_bytes_per_cycle` is per SM; `prologue_us` starts a block, `ramp_us` the memory stream, `step_us` is
the latency of 64 steps of the reduction, `reduction_us` sums the parts of a split one. Times of SMs and memory overlap
as (a^p + b^p)^(1/p), p the `overlap_exponent`. `sustained_share` of the peak can be had at the power limit (0: all),
or time grows by `throttle_slope` times the logarithm of its ratio to `throttle_from_us`, up to `throttle_span`. A tile
narrower than 32 is used up to `narrow_columns`. `tail_share` of the last wave is saved in proportion to its emptiness.
"""

CONVOLUTION = {
    **GEMM, "winograd_efficiency": 1.0, "fused_efficiency": 1.0, "transform_share": 1.0, "transform_us": 0.0,
    "fused_prologue_us": 0.0, "simt_efficiency": 1.0,
}  # fmt: skip
"""Those of a convolution: of the implicit product first, then of both Winograd kernels and of their transforms.

`simt_efficiency` is that of ordinary cores, which take channels that tensor cores cannot.
"""

GEMV = {"stream_share": 1.0, "launch_us": 0.0}
"""Those of a matrix by one vector, a warp per output; all warps reach `stream_share` of the bandwidth."""

STREAM_SHARE, GEMV_LAUNCH_US = range(2)
"""Their places."""

VECTOR = {
    "launch_us": 0.0, "bandwidth_share": 1.0, "ramp_us": 0.0, "overlap_exponent": inf, "reread": 0.0,
    "long_row_elements": 1.0, "unaligned_factor": 1.0, "short_row_factor": 1.0,
}  # fmt: skip
"""Those of an operator that streams its operands; a row longer than `long_row_elements` is read `reread` times more."""

ATTENTION = {
    "launch_us": 0.0, "efficiency": 1.0, "head_elements": 0.0, "block_us": 0.0, "block_wide_us": 0.0,
    "bandwidth_share": 1.0, "overlap_exponent": inf, "packs_groups": 0.0, "decode_launch_us": 0.0,
    "decode_bandwidth_share": 1.0, "decode_step_us": 0.0, "decode_block_us": 0.0, "decode_overlap_exponent": inf,
    "decode_group": inf,
}  # fmt: skip
"""Those of attention in one kernel: of a sequence first, then of one query against cached keys."""

ORDER: Mapping[str, Mapping[str, float]] = {
    "gemm": GEMM, "bmm": GEMM, "recurrent": GEMM, "gemv": GEMV, "conv": CONVOLUTION, "depthwise": VECTOR,
    "elementwise": VECTOR, "pool": VECTOR, "normalisation": VECTOR, "softmax": VECTOR, "attention": ATTENTION,
}  # fmt: skip

TYPICAL: Mapping[str, Mapping[str, float]] = {
    "gemm": {"efficiency": 0.9, "edge_elements": 12, "l2_bytes_per_cycle": 40, "prologue_us": 1.2,
             "bandwidth_share": 0.83, "ramp_us": 1, "launch_us": 3, "overlap_exponent": 2, "reduction_us": 3},
    "conv": {"efficiency": 0.75, "edge_elements": 8, "l2_bytes_per_cycle": 40, "prologue_us": 1.2,
             "bandwidth_share": 0.83, "ramp_us": 1, "launch_us": 3, "overlap_exponent": 2, "reduction_us": 3,
             "tail_share": 0.25, "winograd_efficiency": 0.85, "fused_efficiency": 0.65, "transform_share": 0.6,
             "transform_us": 20, "fused_prologue_us": 3, "simt_efficiency": 0.7},
    "elementwise": {"launch_us": 3, "bandwidth_share": 0.9, "ramp_us": 3, "overlap_exponent": 2},
    "attention": {"launch_us": 10, "efficiency": 0.75, "head_elements": 30, "block_us": 1, "block_wide_us": 1,
                  "bandwidth_share": 0.6, "overlap_exponent": 3, "decode_launch_us": 9, "decode_bandwidth_share": 0.7,
                  "decode_step_us": 0.7, "decode_block_us": 1, "decode_overlap_exponent": 2},
}  # fmt: skip
"""Where nothing was measured: about what the machines that were have in common."""

_KEPLER_TILES = ("128x128", "64x128", "128x64", "32x128", "16x128", "64x64")
_KEPLER_PRODUCT = {
    **dict.fromkeys((f"tile_{tile}" for tile in _KEPLER_TILES), 1.0), "efficiency": 0.65, "edge_elements": 6,
    "l2_bytes_per_cycle": 66, "prologue_us": 2, "bandwidth_share": 0.8, "ramp_us": 1, "launch_us": 8,
    "overlap_exponent": 2, "reduction_us": 3, "step_us": 0.8, "tail_share": 0.3, "unsplit": 1,
}  # fmt: skip
KEPLER: Mapping[str, Mapping[str, float]] = {
    "gemm": _KEPLER_PRODUCT,
    "conv": {**_KEPLER_PRODUCT, "efficiency": 0.5, "winograd_efficiency": 0.0, "fused_efficiency": 0.0},
}
"""Of the generation before Maxwell, none of which was measured: less of the peak, and no Winograd before 2016."""

KEPLER_SOURCE = Source.assumed(
    "a calibration by hand, of no measured kernel: two thirds of the peak is about what Kepler's libraries reached; "
    "blocks and unsplit sums were chosen with the K80's roofline in Jouppi et al., ISCA 2017, Fig. 7, in view, which "
    "is no test of them"
)

STAND_IN = {
    "bmm": "gemm", "recurrent": "gemm", "pool": "elementwise", "depthwise": "elementwise",
    "normalisation": "elementwise", "softmax": "normalisation",
}  # fmt: skip
"""The class whose constants are taken for one that was not measured."""

LAUNCH_US = {"graph": 1.3, "direct": 4.0, "eager": 35.0}
"""From one kernel to the next: in a CUDA graph, called one by one, and from a framework that runs as it reads."""

CHOSEN = ("narrow_columns", "quantum", "packs_groups", "decode_group", "unsplit")
"""Constants that are never fitted; neither are those named `tile_128x64`, blocks that a library is seen to use."""

SOURCES = {
    "launches": Source.assumed(
        ", ".join(f"{library} {us:g} us" for library, us in LAUNCH_US.items())
        + ", where a class was not fitted with that library"
    ),
    "blocks of products": Source.assumed(
        "sides from 8 to 256 of which the fastest is taken, with splits of the reduction, as in CUTLASS and in names "
        "of cuBLAS' kernels; the reduction is rounded up to 64 on tensor cores and to 8 on ordinary ones"
    ),
}

TENSOR, SIMT = "tensor", "simt"

_POWERS = (8, 16, 32, 64, 128, 192, 256)
_TALL = {(a, b) for a in (64, 128, 256) for b in _POWERS if a * b <= 32768}
TILES: Mapping[str, tuple[tuple[int, int], ...]] = {
    TENSOR: tuple(sorted(_TALL | {(b, a) for a, b in _TALL})),
    SIMT: ((32, 32), (64, 32), (32, 64), (64, 64), (128, 32), (32, 128), (128, 64), (64, 128), (128, 128)),
}
"""Blocks of outputs in both orientations: a library may compute the transpose."""

SPLITS: Mapping[str, tuple[int, ...]] = {
    TENSOR: (1, 2, 4, 8, 16),
    SIMT: (1, 2, 3, 4, 5, 7, 8, 10, 13, 16, 24, 40),
    "direct": (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128),
    "bmm": (1,),
}

REFERENCE = {TENSOR: (128, 256), SIMT: (128, 128)}
"""The tile whose share of the peak is `efficiency`."""

QUANTUM = {TENSOR: 64.0, SIMT: 8.0}
"""What the reduction is rounded up to."""


class Case(NamedTuple):
    """What kernels of one class in one format need: `values` in their order, and the blocks of `menu_of`.

    Of its `constants`, those that are `chosen` were not fitted on the `shapes` that the others were.
    """

    values: tuple[float, ...]
    menu: str
    quantum: float
    source: Source
    shapes: int
    constants: Mapping[str, float]
    chosen: tuple[str, ...] = ()

    def with_values(self, changed: Mapping[int, float]) -> Case:
        """Return the case with other values at some places."""
        values = tuple(changed.get(place, value) for place, value in enumerate(self.values))
        return self._replace(values=values)

    def __str__(self) -> str:
        """Return its constants with their values, fitted ones and those that were chosen."""
        said = {name: f"{name} {value:.4g}" for name, value in self.constants.items()}
        fitted = ", ".join(text for name, text in said.items() if name not in self.chosen)
        chosen = ", ".join(said[name] for name in self.chosen)
        if not self.shapes or not chosen:
            return ", ".join(filter(None, (fitted, chosen))) or "all ideal"
        return f"{fitted}; chosen, not fitted: {chosen}"


@lru_cache(maxsize=4096)
def array(values: tuple[Any, ...]) -> Any:
    """Return `values` as the compiled kernels take them."""
    out = np.array(values, dtype=np.float64)
    out.setflags(write=False)
    return out


def values_of(op_class: str, constants: Mapping[str, float]) -> tuple[float, ...]:
    """Return the constants of a class in the kernels' order, ideal where none is given."""
    return tuple(float(constants.get(name, ideal)) for name, ideal in ORDER[op_class].items())


def menu_of(op_class: str, path: str, library: str, constants: Mapping[str, float]) -> str:
    """Return the blocks a library has, `TMxTN,...|splits|reference tile`: a text, so that it is quick to look up.

    Constants named `tile_128x64` say which blocks it was seen to use.
    """
    seen = sorted(name.removeprefix("tile_") for name in constants if name.startswith("tile_"))
    tiles = seen or [f"{rows}x{cols}" for rows, cols in TILES[path]]
    one_part = op_class == "conv" or (op_class == "bmm" and path == SIMT) or "unsplit" in constants
    splits = SPLITS["bmm"] if one_part else SPLITS.get(library, SPLITS[path])
    rows, cols = REFERENCE[SIMT if "quantum" in constants else path]
    return f"{','.join(tiles)}|{','.join(map(str, splits))}|{rows}x{cols}"


@lru_cache(maxsize=1024)
def menu_array(menu: str) -> Any:
    """Return a menu as the compiled kernels take it: rows of TM, TN, splits and the reference tile."""
    tiles, splits, reference = menu.split("|")
    sides = [tuple(map(float, tile.split("x"))) for tile in tiles.split(",")]
    last = tuple(map(float, reference.split("x")))
    return array(tuple((*tile, float(split), *last) for tile in sides for split in splits.split(",")))


def case_of(
    op_class: str, path: str, library: str, constants: Mapping[str, float], source: Source, shapes: int,
    chosen: tuple[str, ...] = (),
) -> Case:  # fmt: skip
    """Return the case that `constants` describe, of which `chosen` ones were not fitted, like all of `CHOSEN`."""
    menu = menu_of(op_class, path, library, constants) if ORDER[op_class] in (GEMM, CONVOLUTION) else ""
    quantum = constants.get("quantum", QUANTUM[path])
    never = (name for name in constants if name in CHOSEN or name.startswith("tile_"))
    return Case(values_of(op_class, constants), menu, quantum, source, shapes, constants, (*chosen, *never))


def find(machines: tuple[str, ...], library: str, op_class: str, formats: tuple[str, ...]) -> Calibration | None:
    """Return the calibration of the first of `machines` that has the class, or else one that stands in for it.

    Of a machine, that in the first of `formats` is taken, and the library's own before others'.
    """
    for machine in machines:
        known = calibrations(machine)
        kin: str | None = op_class
        while kin is not None:
            for fmt in formats:
                for name in (library, *sorted({case[0] for case in known} - {library})):
                    if (name, kin, fmt) in known:
                        return known[name, kin, fmt]
            kin = STAND_IN.get(kin)
    return None


def resolve(machines: tuple[str, ...], library: str, op_class: str, path: str, formats: tuple[str, ...]) -> Case:
    """Return the constants of `library` on the first of `machines`: fitted there, or borrowed and marked assumed."""
    found = find(machines, library, op_class, formats)
    if found is None:
        kin = op_class
        while kin not in TYPICAL:
            kin = STAND_IN[kin]
        why = f"{op_class} not measured on any machine like '{machines[0]}'; about what measured ones have in common"
        typical = {**TYPICAL[kin], "launch_us": LAUNCH_US[library]}
        return case_of(op_class, path, library, typical, Source.assumed(why), 0)
    source, (owner, kin, fmt) = found.source, found.case
    constants = dict(found.constants)
    chosen = ("launch_us",) if owner != library or "launch_us" not in constants else ()
    constants |= dict.fromkeys(chosen, LAUNCH_US[library])
    if (found.machine, owner, kin, fmt) != (machines[0], library, op_class, formats[0]):
        source = Source.assumed(f"{found.machine}'s {kin} in {fmt} by {owner} ({source})")
    return case_of(op_class, path, owner, constants, source, found.shapes, chosen)


def ideal(op_class: str, path: str, library: str) -> Case:
    """Return what the datasheet alone says: nothing is lost but to whole tiles and whole waves."""
    return case_of(op_class, path, library, {}, Source.assumed("ideal: calibration=none"), 0)

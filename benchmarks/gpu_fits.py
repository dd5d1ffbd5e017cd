"""Which constants of a measured set are fitted, the priors that are its own, and those that are chosen, not fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwsim.validate.gpu.tables import Part, Table

Priors = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Fitted:
    """The names of `constants` that are fitted, priors `over` the usual ones, `fixed` values that are not fitted."""

    constants: tuple[str, ...]
    over: Priors = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)


GEMM = ("efficiency", "edge_elements", "l2_bytes_per_cycle", "prologue_us", "bandwidth_share", "ramp_us", "launch_us",
        "overlap_exponent", "reduction_us")  # fmt: skip
CONV = ("efficiency", "winograd_efficiency", "fused_efficiency", "edge_elements", "l2_bytes_per_cycle", "prologue_us",
        "bandwidth_share", "ramp_us", "launch_us", "overlap_exponent", "step_us", "transform_share", "transform_us",
        "fused_prologue_us")  # fmt: skip
TENSOR_CONV = ("efficiency", "simt_efficiency", "edge_elements", "l2_bytes_per_cycle", "prologue_us", "bandwidth_share",
               "launch_us", "overlap_exponent", "step_us")  # fmt: skip
STREAM = ("launch_us", "bandwidth_share", "ramp_us", "overlap_exponent")
ROWS = (*STREAM, "reread", "long_row_elements", "unaligned_factor")
PREFILL = ("launch_us", "efficiency", "head_elements", "block_us", "block_wide_us", "bandwidth_share",
           "overlap_exponent")  # fmt: skip
DECODE = ("decode_launch_us", "decode_bandwidth_share", "decode_step_us", "decode_block_us", "decode_overlap_exponent")
THROTTLE = ("throttle_slope", "throttle_from_us", "throttle_span")

STREAM_NAMES = {"elementwise": STREAM, "normalisation": ROWS, "softmax": (*ROWS, "short_row_factor")}
STREAM_OVER = {"launch_us": (32.0, 0.3), "bandwidth_share": (0.9, 0.1), "ramp_us": (3.0, 0.7),
               "overlap_exponent": (1.0, 1.0)}  # fmt: skip
PREFILL_OVER = {"launch_us": (10.0, 0.4), "efficiency": (0.75, 0.2), "bandwidth_share": (0.6, 0.3),
                "overlap_exponent": (2.0, 0.5)}  # fmt: skip
EAGER_OVER = {"launch_us": (40.0, 0.4), "edge_elements": (6.0, 0.7), "reduction_us": (6.0, 0.7)}
EAGER_CONV_OVER = {"launch_us": (60.0, 0.4), "edge_elements": (8.0, 0.6), "step_us": (0.6, 0.7)}
TITAN_OVER = {"launch_us": (20.0, 0.8), "edge_elements": (4.0, 0.7), "reduction_us": (10.0, 1.0),
              "l2_bytes_per_cycle": (3.0, 0.2)}  # fmt: skip
TITAN_RECURRENT_OVER = {"edge_elements": (4.0, 0.7), "reduction_us": (10.0, 1.0)}


def _tiles(names: str) -> dict[str, float]:
    return {f"tile_{name}": 1.0 for name in names.split()}


WIDE = {**_tiles("64x64 128x64 64x128 128x128 256x128 128x256 64x32 32x64 128x32 32x128"), "quantum": 32.0}
WIDE_CONV = {**_tiles("64x64 128x64 64x128 128x128 256x128 128x256 256x64 64x32 128x32 256x32"), "quantum": 32.0}
WIDE_RECURRENT = {**_tiles("64x64 64x128 128x64 128x128 32x128 32x64"), "quantum": 32.0}
TITAN = {**_tiles("128x128 64x128 128x64 8x128"), "narrow_columns": 8.0}
TITAN_RECURRENT = _tiles("128x128 64x128 128x64 32x128")


def fitted_of(table: Table, part: Part) -> Fitted:
    """Return what is fitted of a part of a table."""
    if part.op_class in STREAM_NAMES:
        return Fitted(STREAM_NAMES[part.op_class], STREAM_OVER)
    if part.op_class == "attention":
        return _attention(table, part)
    if part.op_class == "recurrent":
        return _recurrent(table)
    return _convolution(table) if part.op_class == "conv" else _product(table)


def _attention(table: Table, part: Part) -> Fitted:
    if table.name.startswith("prefill"):
        return Fitted(PREFILL, PREFILL_OVER, {"packs_groups": float(part.library == "vllm")})
    return Fitted(DECODE, fixed={"decode_group": 32.0} if part.library == "graph" else {})


def _recurrent(table: Table) -> Fitted:
    over = {"launch_us": (12.0, 0.6), **(TITAN_RECURRENT_OVER if table.machine == "titan_x" else {})}
    fixed = TITAN_RECURRENT if table.machine == "titan_x" else WIDE_RECURRENT if table.fmt == "fp16" else {}
    return Fitted((*GEMM, "step_us"), over, fixed)


def _convolution(table: Table) -> Fitted:
    if table.library == "eager":
        return Fitted(CONV, EAGER_CONV_OVER)
    if table.fmt == "fp16":
        return Fitted(TENSOR_CONV, {"launch_us": (8.0, 0.5)}, WIDE_CONV)
    return Fitted(CONV, {"launch_us": (8.0, 0.6), "edge_elements": (8.0, 0.6)})


def _product(table: Table) -> Fitted:
    if table.library == "graph":
        return Fitted((*GEMM, "sustained_share"))
    if table.library == "eager":
        return Fitted((*GEMM, "step_us", "tail_share", *(THROTTLE if table.machine == "t4" else ())), EAGER_OVER)
    if table.machine == "titan_x":
        return Fitted((*GEMM, "step_us"), TITAN_OVER, TITAN)
    return Fitted((*GEMM, "step_us"), {"launch_us": (5.0, 0.5)}, WIDE if table.fmt == "fp16" else {})

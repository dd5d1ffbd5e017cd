"""Constants of a machine that are fitted to measurements of it, apart from those that its datasheet states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwsim.arch.source import Source

Case = tuple[str, str, str]
"""(library, class of operators, number format), such as ("cublas", "gemm", "bf16")."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fitted `constants` of one library's operators of one class in one format on `machine`.

    `shapes` says how many measured shapes they were fitted on, `source` who measured those: accuracy is reported on
    others. A constant's unit is the ending of its name.
    """

    machine: str
    case: Case
    constants: Mapping[str, float]
    shapes: int
    source: Source

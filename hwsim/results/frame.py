"""The layer rows of a result folder, checked: the folder may come from somebody else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import InputError, UsageError, printable

if TYPE_CHECKING:
    import pandas as pd

LAYERS = "layers.csv"

TEXTS = ("network", "layer", "kind", "chip", "dataflow", "format")
NUMBERS = (
    "batch", "weight_density", "input_density", "macs", "fill_cycles", "compute_cycles", "stall_cycles", "drain_cycles",
    "total_cycles", "seconds", "utilisation", "energy_pj",
)  # fmt: skip
"""Columns that every layer has."""

UNKNOWN = frozenset({"utilisation"})
"""Columns that may be empty: a measurement does not know its machine's peak rate."""

UNITS = ("_cycles", "_bytes", "_pj", "_fraction", "_per_s")
"""Endings of further columns that are numbers; a chip that lacks one leaves it empty."""

LEAST, MOST = 1e-30, 1e30
"""No number of a layer but 0 is less or more: figures add and divide what a foreign table says."""

SHOWN = 60
"""Characters of a wrong number in a message."""

MAX_BYTES = 128 * 2**20
"""Largest result.json and layers.csv that are read; a layer takes 1.5 kB."""


def read_frame(folder: Path) -> pd.DataFrame:
    """Return the layer rows of a result folder; raises `UsageError` without one, `InputError` if it is malformed."""
    import pandas as pd

    path = existing(folder, LAYERS)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        frame = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is not a table of layers: {str(error).splitlines()[0]}") from error
    missing = [name for name in (*TEXTS, *NUMBERS) if name not in frame]
    if missing:
        raise InputError(f"'{path}' lacks the columns {', '.join(missing)}")
    if frame.empty:
        raise InputError(f"'{path}' has a header and no layers")
    numbers = {name: _numbers(path, frame[name]) for name in map(str, frame) if name in NUMBERS or name.endswith(UNITS)}
    texts = {name: frame[name].fillna("").map(printable) for name in TEXTS}
    return frame.assign(**numbers, **texts).copy()  # in one block, which many columns are not as they are read


def existing(folder: Path, name: str) -> Path:
    """Return the path of file `name` in a result folder."""
    if not os.path.isfile(folder / name):  # os.path, because pathlib raises for names that are too long
        raise UsageError(
            f"'{folder}' is no result folder: it has no {name}; make one with hwsim run ... --out {folder}"
        )
    return folder / name


def _numbers(path: Path, column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of `NUMBERS` or `UNITS` as numbers; raises `InputError` for what is none, below 0 or a gap."""
    import pandas as pd

    # as text, because an integer of hundreds of digits is read as one, and has no place in a float
    written = column.map(str) if column.dtype == object else column
    numbers, optional = pd.to_numeric(written, errors="coerce"), column.name not in set(NUMBERS) - UNKNOWN
    least = 1 if column.name == "batch" else LEAST
    right = numbers.between(least, MOST) | ((numbers == 0) & (column.name != "batch")) | (column.isna() & optional)
    if not right.all():
        row, value = column[~right].index[0] + 2, str(column[~right].iloc[0])
        allowed = f"a number from {least:g} to {MOST:g}" if least == 1 else f"0 or a number from {LEAST:g} to {MOST:g}"
        raise InputError(f"'{path}', line {row}: {column.name} is '{value[:SHOWN]}', not {allowed}")
    return numbers

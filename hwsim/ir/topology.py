"""Networks from SCALE-Sim topology CSV files, of convolutions or of matrix products.

    Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
    Layer, M, N, K,

Optional columns are "Stride height" and "Stride width" instead of "Strides", "Sparsity" (N:M) and "Batch size".
Source of the format and its semantics: SCALE-Sim 3.0.0, `scalesim/topology_utils.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwsim.errors import InputError
from hwsim.ir.builder import MAX_SIZE, NetworkBuilder
from hwsim.ir.network import Network
from hwsim.ir.shapes import Padding
from hwsim.ir.untrusted import read_bounded
from hwsim.units import ceil_div

MAX_BYTES = 4 * 2**20
"""Largest file that is read; the longest topology that SCALE-Sim ships has 5.5 kB."""

MAX_ROWS = 100_000
"""Most layers that are read."""

CONV_COLUMNS = ("ifmap height", "ifmap width", "filter height", "filter width", "channels", "num filter")
GEMM_COLUMNS = ("m", "n", "k")
OPTIONAL_COLUMNS = ("strides", "stride height", "stride width", "sparsity", "batch size")
SYNONYMS = {"layer": "layer name", "num filters": "num filter", "stride": "strides"}
KNOWN_COLUMNS = frozenset({"layer name", *CONV_COLUMNS, *GEMM_COLUMNS, *OPTIONAL_COLUMNS})

NOTE = (
    "SCALE-Sim topologies have no padding, groups, biases, pooling or edges between layers: every filter spans all "
    "channels and outputs follow from the sizes listed, so AlexNet's conv2, conv4 and conv5 have twice the "
    "multiply-accumulates of the grouped network where padding is listed as part of the input (conv2 447,897,600 "
    "instead of 223,948,800 on 31x31) and too small outputs where it is not"
)
ROUNDED = "outputs of {} layers round up as SCALE-Sim rounds them, the last window reaching beyond the input: {}"
PADDED = "convolutions whose filter is smaller than their input and higher and wider than 1 have 'same' padding"


@dataclass(frozen=True)
class Row:
    """One line of the table: the file and the line's number in it, for errors, and its cells by column."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def fault(self, what: str) -> InputError:
        """Return the error that says where `what` stands."""
        return InputError(f"SCALE-Sim topology '{self.path}', row {self.number}{what}")

    def size(self, column: str, default: int | None = None) -> int:
        """Return the size in `column`; raises `InputError` unless it is a whole number from 1 to 2**31 - 1."""
        text = self.cells.get(column, "")
        if not text and default is not None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_SIZE:
            return int(text)
        raise self.fault(f", column '{column}': '{text[:40]}' is not a whole number from 1 to {MAX_SIZE}")

    def weight_density(self) -> float:
        """Return N / M of the sparsity "N:M", the fraction of weights that are kept; 1 where none is given."""
        text = self.cells.get("sparsity", "")
        if not text:
            return 1.0
        kept, separator, block = (part.strip() for part in text.partition(":"))
        numbers = all(part.isascii() and part.isdigit() and len(part) <= 10 for part in (kept, block))
        if separator and numbers and 1 <= int(kept) <= int(block):
            return int(kept) / int(block)
        raise self.fault(f", column 'sparsity': '{text[:40]}' is not N:M with 1 <= N <= M")


def topology_network(path: Path, *, pad: bool = False) -> Network:
    """Return the network of a SCALE-Sim topology CSV; each of its layers reads an input of its own.

    Convolutions have ceil((H - R + stride) / stride) output rows as in SCALE-Sim: where the stride does not divide H
    - R that is one more than floor((H - R) / stride) + 1, and the last window reaches over zeros. A layer whose name
    contains "DP" is depthwise, with "Num Filter" filters per channel. A row of M, N, K is the product of (M, K) by
    (K, N). A sparsity N:M becomes the weight density N / M. With `pad`, filters higher and wider than 1 and smaller
    than their input have "same" padding, for files that list unpadded sizes; a filter of the input's size is a fully
    connected layer. Raises `UsageError` where there is no file and `InputError`, with row and column, for everything
    malformed in it.
    """
    rows = _rows(path)
    net, notes = NetworkBuilder(path.stem), [NOTE, *([PADDED] if pad else [])]
    densities: dict[str, float] = {}
    taken: dict[str, int] = {}
    rounded: list[str] = []
    for row in rows:
        name = _unique_name(row.cells["layer name"] or f"row{row.number}", taken, notes)
        densities[name] = row.weight_density()
        if "m" in row.cells:
            _product(net, name, row)
        elif _convolution(net, name, row, pad):
            rounded.append(name)
    if rounded:
        notes.append(ROUNDED.format(len(rounded), ", ".join(rounded[:8]) + (", ..." if len(rounded) > 8 else "")))
    network = net.build(source=f"SCALE-Sim topology {path.name}", notes=notes)
    layers = (replace(layer, weight_density=densities[layer.name]) for layer in network.layers)
    return replace(network, layers=tuple(layers))


def _product(net: NetworkBuilder, name: str, row: Row) -> None:
    given = net.input(f"{name}.input", (row.size("m"), row.size("k")))
    net.linear(name, given, row.size("n"), bias=False)


def _convolution(net: NetworkBuilder, name: str, row: Row, pad: bool) -> bool:
    """Add the layer of `row`; return whether its outputs had to be rounded up."""
    height, width, taps_r, taps_s, depth, filters = (row.size(column) for column in CONV_COLUMNS)
    step = row.size("strides") if "strides" in row.cells else None
    strides = (row.size("stride height", step), row.size("stride width", step))
    if taps_r > height or taps_s > width:
        raise row.fault(f": the filter {taps_r}x{taps_s} of layer '{name}' is larger than its input {height}x{width}")
    # SCALE-Sim splits a depthwise row into one layer per channel; the groups of one layer are the same work
    groups = depth if "DP" in name else 1
    same = pad and taps_r > 1 and taps_s > 1 and (taps_r, taps_s) != (height, width)
    overhang = _overhang((height, width), (taps_r, taps_s), strides)
    given = net.input(f"{name}.input", (row.size("batch size", 1), depth, height, width))
    net.conv(
        name,
        given,
        filters * groups,
        (taps_r, taps_s),
        stride=strides,
        padding="same" if same else overhang,
        groups=groups,
        bias=False,
    )
    return any(overhang) and not same


def _overhang(extent: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> Padding:
    """Return the padding at the bottom and right that lets the last window of SCALE-Sim's rounded-up outputs fit."""
    bottom, right = (ceil_div(h - r, u) * u - (h - r) for h, r, u in zip(extent, kernel, stride, strict=True))
    return 0, 0, bottom, right


def _unique_name(name: str, taken: dict[str, int], notes: list[str]) -> str:
    """Return `name`, with a number behind it where a layer or a layer's input already has it, and take it."""
    unique = name
    while unique in taken or f"{unique}.input" in taken:
        taken[name] = taken.get(name, 1) + 1
        unique = f"{name}_{taken[name]}"
    if unique != name:
        notes.append(f"a further layer named '{name}' is called '{unique}'")
    taken[unique] = taken[f"{unique}.input"] = 1
    return unique


def _rows(path: Path) -> list[Row]:
    """Return the rows below the header whose cells are not all blank."""
    lines = _lines(path)
    header = [_column(cell) for cell in lines[0]]
    while header and not header[-1]:
        header.pop()
    _check_header(path, header)
    numbered = [(number, cells) for number, cells in enumerate(lines, 1) if number > 1 and any(cells)]
    if not numbered:
        raise InputError(f"SCALE-Sim topology '{path}' has a header and no layers")
    if len(numbered) > MAX_ROWS:
        raise InputError(f"SCALE-Sim topology '{path}' has {len(numbered)} layers, more than the {MAX_ROWS} read")
    return [Row(path, number, _cells(path, number, header, cells)) for number, cells in numbered]


def _lines(path: Path) -> list[list[str]]:
    data = read_bounded(path, "SCALE-Sim topology", MAX_BYTES)
    try:
        lines = data.decode("utf-8-sig").splitlines()
        # one of SCALE-Sim's own files, UNet_maestro.csv, is separated by tabs
        delimiter = "\t" if lines and "\t" in lines[0] and "," not in lines[0] else ","
        return [[cell.strip() for cell in line] for line in csv.reader(lines, delimiter=delimiter)] or [[]]
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"SCALE-Sim topology '{path}' is not a text file of comma-separated values") from None


def _column(cell: str) -> str:
    name = " ".join(cell.lower().split())
    return SYNONYMS.get(name, name)


def _check_header(path: Path, header: Sequence[str]) -> None:
    strides = () if "stride height" in header and "stride width" in header else ("strides",)
    needed = ("layer name", *(GEMM_COLUMNS if "m" in header else (*CONV_COLUMNS, *strides)))
    missing = [column for column in needed if column not in header]
    if missing:
        raise InputError(f"SCALE-Sim topology '{path}' has no column '{missing[0]}'; it needs {', '.join(needed)}")
    for column in header:
        if header.count(column) > 1 or column not in KNOWN_COLUMNS:
            fault = "twice" if header.count(column) > 1 else "which is not known"
            raise InputError(f"SCALE-Sim topology '{path}' has the column '{column[:40]}' {fault}")


def _cells(path: Path, number: int, header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the cells by column; beyond the header SCALE-Sim's files have blank cells and remarks such as "#dw"."""
    extra = [cell for cell in cells[len(header) :] if cell and not cell.startswith("#")]
    if extra:
        raise InputError(
            f"SCALE-Sim topology '{path}', row {number}: '{extra[0][:40]}' stands behind the last column '{header[-1]}'"
        )
    return dict(zip(header, [*cells, *[""] * len(header)], strict=False))

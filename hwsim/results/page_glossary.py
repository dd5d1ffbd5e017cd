"""The words of a page: what each column means and in which unit it is, for a reader who knows neither."""

from __future__ import annotations

from collections.abc import Iterable

from .page import Term

TERMS = (
    Term("network", "", "The neural network that is run: its layers, their sizes and its batch."),
    Term("chip", "", "The machine that is simulated, with the parameters that differ from its own; or measured."),
    Term("dataflow", "", "Which operand stays in the processing elements while the others move past it."),
    Term("format", "", "The number format of weights and activations, such as fp32 or int8."),
    Term("batch", "", "How many inputs are run together."),
    Term("latency", "s", "Time of one batch through the whole network, layer after layer."),
    Term("energy", "J", "Energy of one batch, memories outside the chip included where the chip's model has them."),
    Term("power", "W", "Energy over latency: the mean power while the network runs."),
    Term("throughput", "1/s", "Inferences per second: the batch over the latency."),
    Term("efficiency", "1/J", "Inferences per joule: the batch over the energy."),
    Term("EDP", "J s", "Energy-delay product of one batch: low where a machine is both fast and frugal."),
    Term(
        "utilisation",
        "%",
        "Multiplications and additions done, over those that the machine could do in the same time.",
    ),
    Term("area", "mm²", "Area of the parts whose area is known; for machines with a printed one, that of the die."),
    Term("best", "", "The lowest or highest of its column among the runs of the same network and batch."),
    Term("layer", "", "One operator of the network, by its name."),
    Term("kind", "", "What the layer computes: a convolution, a matrix product, a pooling, ..."),
    Term("MACs", "", "Multiply-accumulate operations of the layer, those with zeros included."),
    Term("cycles", "", "Clock cycles that the layer takes."),
    Term("time", "s", "Cycles over the clock rate of the chip, or the median of measured times."),
    Term("share", "%", "Of the whole network's time or energy."),
    Term("waiting", "%", "Share of the cycles in which the arithmetic waits for data."),
    Term("traffic", "B", "Bytes read from and written to the outermost memory, which is usually DRAM."),
    Term("quantity", "", "What is compared: a column of layers.csv, or a total of the run."),
    Term(
        "scored", "", "Rows that count: not those that a constant was fitted on or that the work contradicts itself in."
    ),
    Term("simulated", "", "The value that hwsim gives, in the unit of the published one."),
    Term("published", "", "The value in the named work."),
    Term("error", "%", "Simulated minus published, over published."),
    Term("tolerance", "", "How far the simulated value may be off for the row to be met, and on which side."),
    Term("met", "", "Whether the simulated value is within the tolerance; rows that are not scored say so."),
)
"""What the words of a page mean, in the order of their tables."""

SHARE = "share from 0 to 1"

ENDINGS = {
    "_cycles": "clock cycles", "_bytes": "B", "_pj": "pJ", "_fraction": SHARE, "_density": SHARE,
    "_per_s": "1/s", "_w": "W", "_kib": "KiB", "_hz": "Hz", "_db": "dB", "_seconds": "s", "_mm2": "mm²",
}  # fmt: skip
"""Units of columns of layers.csv, by how their names end."""

NAMED = {
    "network": "name of the network", "layer": "name of the layer", "kind": "what the layer computes",
    "chip": "the machine", "dataflow": "the dataflow of the layer", "format": "the layer's number format",
    "batch": "inputs that are run together", "macs": "multiply-accumulate operations",
    "weight_density": "weights that are not zero", "input_density": "inputs that are not zero",
    "fill_cycles": "until the first results: operands enter", "compute_cycles": "in which results are computed",
    "stall_cycles": "in which the arithmetic waits for data", "drain_cycles": "until the last results have left",
    "total_cycles": "all of the layer", "seconds": "time of the layer", "energy_pj": "all energy of the layer",
    "utilisation": "MACs done over those possible in the layer's cycles",
}  # fmt: skip
"""What columns of layers.csv are that every chip has."""

PATTERNS = {
    ("energy_", "_pj"): "energy of the component '{}'",
    ("", "_read_bytes"): "read from the memory '{}'",
    ("", "_write_bytes"): "written to the memory '{}'",
    ("power_", "_fraction"): "share of '{}' in the power",
}
"""What columns of layers.csv are that chips have for each component or memory."""


def glossary(words: Iterable[str]) -> tuple[Term, ...]:
    """Return the terms of those `words` that are explained."""
    shown = set(words)
    return tuple(term for term in TERMS if term.word in shown)


def columns(names: Iterable[str]) -> tuple[Term, ...]:
    """Return a term for each column of layers.csv, as far as its name says what it is."""
    return tuple(Term(name, unit(name), meaning(name)) for name in names)


def unit(column: str) -> str:
    """Return the unit in a column's name, "" where it says none."""
    if column == "seconds" or column.startswith("seconds_"):
        return "s"
    return next((unit for ending, unit in ENDINGS.items() if column.endswith(ending)), "")


def meaning(column: str) -> str:
    """Return what a column of layers.csv is: by its name, by its parts, else what its words say."""
    if column in NAMED:
        return NAMED[column]
    for (start, end), said in PATTERNS.items():
        if column.startswith(start) and column.endswith(end) and len(column) > len(start) + len(end):
            return said.format(column[len(start) : len(column) - len(end)].replace("_", " "))
    return column.replace("_", " ")

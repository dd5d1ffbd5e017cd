"""The choice of a row-stationary mapping: a published one, or the best of all under an objective.

Options of a chip that this reads: `mapping` ("search", or a choice of the published table), `objective`, `zeros`
("given" by the layers, or "published") and the widths of the networks in bits, `ifmap_network_bits` and so on.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import ceil
from typing import TYPE_CHECKING

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.row_stationary import STAGES, Machine, Parameters, RowStationaryMapping
from hwsim.mapping.row_stationary_geometry import Geometry, geometry_of, strips_of
from hwsim.mapping.row_stationary_traffic import WORD_BITS, actions, coded_words
from hwsim.published import table
from hwsim.units import ceil_div, kib_to_bits

if TYPE_CHECKING:
    from hwsim.mapping.row_stationary_search import Cut, Limits, Prices

BANK_KIB = 4
"""Of the global buffer; a bank holds ifmaps or partial sums, never both (Chen et al., JSSC 52(1), 2017, Sec. V-A)."""

MAPPINGS, MEASURED = "eyeriss_table3", "eyeriss_table5"
"""Published tables: parameters by shape of layer, and what was measured."""

SEARCH, GIVEN, PUBLISHED = "search", "given", "published"


def place(layer: Layer, chip: Accelerator, fmt: NumberFormat, dataflow: str) -> RowStationaryMapping:
    """Return the mapping of `layer` that the chip's options ask for.

    Raises `InputError` where no mapping fits the chip, or the published one does not.
    """
    (machine, prices), choice = _machine_and_prices(chip, fmt), str(chip.options["mapping"])
    geometry = geometry_of(layer, machine.rows, min(machine.ifmap_spad, machine.filter_spad))
    density = input_density(layer, chip)
    parameters = published_parameters(layer, choice) if choice != SEARCH else None
    if parameters is not None:
        mapping = RowStationaryMapping(layer, dataflow, machine, geometry, parameters, density, choice)
        mapping.check()
        return mapping
    found = best(geometry, machine, prices, density, str(chip.options["objective"]))
    if found is None:
        raise InputError(
            f"chip '{chip.name}': no row-stationary mapping of '{layer.name}' fits: one strip of {geometry.columns} "
            f"columns and {geometry.set_rows} rows, and a row of {geometry.Q} sums, need more than the "
            f"{machine.banks} banks of the global buffer, or a filter more than its buffer"
        )
    return RowStationaryMapping(layer, dataflow, machine, geometry, found, density, SEARCH)


def _machine_and_prices(chip: Accelerator, fmt: NumberFormat) -> tuple[Machine, dict[str, float]]:
    """Return both; a chip places layer after layer, so those of the last one are kept."""
    kept = _last.get("chip")
    if kept is None or kept[0] is not chip or kept[1] is not fmt:
        kept = _last["chip"] = chip, fmt, machine_of(chip, fmt), prices_of(chip, fmt)
    return kept[2], kept[3]


_last: dict[str, tuple[Accelerator, NumberFormat, Machine, dict[str, float]]] = {}


def machine_of(chip: Accelerator, fmt: NumberFormat) -> Machine:
    """Return what mappings must fit on `chip`, in words of `fmt`."""
    words = {level.name: (level.capacity_bits or 0) // fmt.bits for level in chip.levels}
    bank_words = kib_to_bits(BANK_KIB) // fmt.bits
    rates = {name: int(chip.options[f"{name}_network_bits"]) // fmt.bits for name in ("ifmap", "filter", "psum")}
    link_bits, link_cycles = chip.off_chip_rate or (0, 1)
    return Machine(
        rows=chip.array.rows,
        cols=chip.array.cols,
        ifmap_spad=words["ifmap_spad"],
        filter_spad=words["filter_spad"],
        psum_spad=words["psum_spad"],
        banks=words["glb"] // bank_words,
        bank_words=bank_words,
        filter_words=words["filter_glb"],
        ifmap_rate=rates["ifmap"],
        filter_rate=rates["filter"],
        psum_rate=rates["psum"],
        link_bits=link_bits,
        link_cycles=link_cycles,
        gated=chip.skips_zeros,
    )


def input_density(layer: Layer, chip: Accelerator) -> float:
    """Return the fraction of a layer's inputs, padding aside, that are not zero: its own, or a published one.

    The published one is taken where the chip's option `zeros` asks for it, for layers of a printed shape that have no
    density of their own.
    """
    if chip.options["zeros"] == PUBLISHED and layer.input_density == 1:
        printed = published_density(layer)
        return 1.0 if printed is None else printed
    return layer.input_density


def published_density(layer: Layer) -> float | None:
    """Return the density of the layer of this shape in Table V, or None.

    Its zeros are of the padded plane: only so do the outputs of CONV3 and CONV4 code to the published size.
    """
    row = next((row for row in table(MAPPINGS) if _is_of(row, layer)), None)
    if row is None:
        return None
    (zeros,) = (one["ifmap_zeros_percent"] for one in table(MEASURED) if one["layer"] == row["layer"])
    _, _, rows, cols = layer.input_shapes[0]
    return (1 - float(zeros) / 100) * int(row["plane"]) ** 2 / (rows * cols)


def published_parameters(layer: Layer, choice: str) -> Parameters | None:
    """Return the parameters that are printed for a layer of this shape and batch under `choice`, or None."""
    for row in table(MAPPINGS):
        if row["choice"] == choice and _is_of(row, layer) and int(row["batch"]) == layer.N:
            return Parameters(*(int(row[name]) for name in Parameters._fields))
    return None


def choices() -> tuple[str, ...]:
    """Return the names of the published choices of mappings."""
    return tuple(dict.fromkeys(row["choice"] for row in table(MAPPINGS)))


def _is_of(row: dict[str, str], layer: Layer) -> bool:
    """Whether a table's row is of this shape: plane with padding, filters, ofmaps, channels per group, stride."""
    if layer.kind is not Kind.CONV or layer.dilation != (1, 1):
        return False
    plane, taps, outputs, channels, filters, groups, stride = (
        int(row[name]) for name in ("plane", "filter", "ofmap", "channels", "filters", "groups", "stride")
    )
    read = (outputs - 1) * stride + taps
    return (
        read == plane
        and (taps, taps, outputs, outputs) == (layer.R, layer.S, layer.P, layer.Q)
        and (channels, filters, groups) == (layer.C, layer.G * layer.K, layer.G)
        and layer.stride == (stride, stride)
        and all(size + 2 * pad == plane for size, pad in zip(layer.input_shapes[0][2:], layer.padding[:2], strict=True))
    )


@cache
def _known_actions(fmt: NumberFormat) -> tuple[tuple[tuple[str, str, str], str], ...]:
    return tuple(actions(fmt))


def prices_of(chip: Accelerator, fmt: NumberFormat) -> dict[str, float]:
    """Return [pJ] per unit of each field of a `Tally`, of the actions that the chip's table prices."""
    prices: dict[str, float] = {}
    for (component, action, operand), field in _known_actions(fmt):
        entry = chip.energy.by_action.get((component, action))
        if entry is not None:
            prices[field] = prices.get(field, 0.0) + entry.word_pj(chip.word_bits(component, operand, fmt))
    return prices


def best(g: Geometry, machine: Machine, prices: dict[str, float], density: float, objective: str) -> Parameters | None:
    """Return the parameters of least cost among all that fit, or None where none does."""
    return _best(g, machine, tuple(sorted(prices.items())), density, objective)


@lru_cache(maxsize=65536)
def _best(
    g: Geometry, machine: Machine, prices: tuple[tuple[str, float], ...], density: float, objective: str
) -> Parameters | None:
    import numpy as np

    from hwsim.mapping import row_stationary_search as kernel

    out = np.zeros(len(Parameters._fields), np.int64)
    facts = kernel_facts(g, machine, dict(prices), density)
    strips = np.array([(e, *strips_of(g, e)[1:]) for e in shares(g.P)], np.int64)
    images = np.array(batch_shares(g.N), np.int64)
    arguments, near = (*facts, strips, images, kernel.OBJECTIVES.index(objective)), (g, machine, objective)
    if near in _lately:
        kernel.search_near(*arguments, np.array(_lately[near], np.int64), out)
    else:
        kernel.search(*arguments, out)
    if not out.any():
        return None
    found = Parameters(*(int(value) for value in out))
    if len(_lately) >= LATELY:
        _lately.clear()
    _lately[near] = found
    return found


_lately: dict[tuple[Geometry, Machine, str], Parameters] = {}
"""What was found last for a layer on a machine: of other prices or another density, and so a good guess."""

LATELY = 16384


def kernel_facts(g: Geometry, machine: Machine, prices: dict[str, float], density: float) -> tuple[Cut, Limits, Prices]:
    """Return layer, machine and prices as the kernel takes them.

    Outputs are taken to have as many zeros as inputs: what they cost is the same in every mapping.
    """
    from hwsim.mapping import row_stationary_search as kernel

    coded_outputs = coded_words(g.outputs, ceil(density * g.outputs)) if machine.gated else g.outputs
    computed = ceil(density * g.inside_products) if machine.gated else g.macs
    fixed = {
        "macs": g.macs,
        "computed_macs": computed,
        "gated_macs": g.macs - computed,
        "control_stages": g.macs + 2 * computed,
        "ofmap_words": g.outputs,
        "ofmap_coded_words": coded_outputs,
    }
    constant = sum(prices.get(field, 0.0) * count for field, count in fixed.items())
    per_cycle = prices.get("total_cycles", 0.0) + machine.rows * machine.cols * prices.get("pe_cycles", 0.0)
    priced = {**prices, "total_cycles": per_cycle, "fixed": constant}
    cut = {**g._asdict(), "pieces": g.pieces, "weights": g.weights, "outputs": g.outputs}
    limits = {**machine._asdict(), "gated": int(machine.gated), "stages": STAGES, "word_bits": WORD_BITS}
    return (
        kernel.Cut(
            coded_outputs=coded_outputs,
            density=density,
            **{name: cut[name] for name in kernel.Cut._fields if name in cut},
        ),
        kernel.Limits(**limits),
        kernel.Prices(**{name: float(priced.get(name, 0.0)) for name in kernel.Prices._fields}),
    )


def shares(whole: int) -> list[int]:
    """Return the least sizes that cut `whole` into each possible number of shares, the largest first."""
    return sorted({ceil_div(whole, count) for count in range(1, whole + 1)}, reverse=True)


def batch_shares(images: int) -> list[int]:
    """Return the n that are tried: in one part, two, three, four, six, eight and so on, and one image at a time.

    With these, what is tried for a batch is tried for each half of one twice as large.
    """
    counts = {factor << power for factor in (1, 3) for power in range(images.bit_length())} | {images}
    return sorted({ceil_div(images, count) for count in counts if count <= images}, reverse=True)

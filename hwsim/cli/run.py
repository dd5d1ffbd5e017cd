"""`hwsim run`: networks on simulated chips."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwsim import catalog
from hwsim.cli.options import BOTH
from hwsim.cli.progress import progress
from hwsim.errors import InputError, UsageError, near_match, printable

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.ir.network import Network
    from hwsim.results.record import NetworkResult
    from hwsim.simulate import Functional

LIKE = ("scale-sim",)


@click.command()
@click.argument("network")
@click.option(
    "--on",
    "chips",
    default="systolic",
    show_default=True,
    help="Chip or chips: NAME:key=value,... or a .py file; 'all' that can run it.",
)
@click.option("--dataflow", help="What stays in the PEs; the chip's own by default.")
@click.option("--format", "fmt", help="Number format, and those of layers: int8,conv1=fp16; the chip's by default.")
@click.option("--convert", is_flag=True, help="Take the nearest format that a chip has for one it lacks.")
@click.option(
    "--fidelity",
    default="closed",
    show_default=True,
    help="closed (formulas) or stepped (real values, cycle by cycle).",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the values that are drawn at random."
)
@click.option("--input", "inputs", metavar="FILE", help="Measure densities on an .npy file first, or on 'random'.")
@click.option("--functional", is_flag=True, help="Run values of --input, or random: how far formats are from fp32.")
@click.option("--scales", help="Ranges of activations, with --functional: max, percentile or mse.  [default: max]")
@click.option("--weight-scales", help="A scale for each output channel or tensor of weights.  [default: channel]")
@click.option("--calibrate-on", metavar="FILE", help="Find the scales on these inputs, not on those of --input.")
@click.option(
    "--pad", is_flag=True, help="Pad the convolutions of a SCALE-Sim topology so that outputs keep their size."
)
@click.option("--like", metavar="TOOL", help="Also print what another tool gives, and why it differs: scale-sim.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the layers as CSV.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write tables, timeline and pictures to.")
@click.option("--sources", is_flag=True, help="Also print where every number comes from.")
@click.option("--trace", type=click.Path(path_type=Path), help="File to write the timeline to; Perfetto opens it.")
def run(
    network: str,
    chips: str,
    dataflow: str | None,
    fmt: str | None,
    convert: bool,
    fidelity: str,
    seed: int,
    inputs: str | None,
    functional: bool,
    scales: str | None,
    weight_scales: str | None,
    calibrate_on: str | None,
    pad: bool,
    like: str | None,
    as_json: bool,
    as_csv: bool,
    out: Path | None,
    sources: bool,
    trace: Path | None,
) -> None:
    """Run NETWORK (a name, or an .onnx, .net, .npz, SCALE-Sim .csv or .py file) on a chip, layer by layer."""
    if as_json and as_csv:
        raise UsageError(BOTH)
    if as_csv and sources:
        raise UsageError("--csv has no place for sources; --json and the table do")
    if like is not None and like not in LIKE:
        raise UsageError(f"no tool named '{like}' to compare with{near_match(like, LIKE)}")
    values = _values(functional, inputs, scales, weight_scales, calibrate_on)
    from hwsim.results.like import with_scale_sim
    from hwsim.simulate import with_densities

    started = time.perf_counter()
    net = with_densities(catalog.network(network, **({"pad": True} if pad else {})), inputs, seed, functional)
    machines = [catalog.chip(spec) for spec in catalog.split(chips, "chip")]
    results: list[NetworkResult] = []
    refused: dict[str, InputError] = {}
    try:
        for machine in machines:
            try:
                result = _simulate(net, machine, dataflow, fmt, convert, fidelity, seed, values)
            except InputError as error:
                refused[machine.label or machine.name] = error
                continue
            results.append(result if like is None else with_scale_sim(result))
        if results:
            _print(results, as_json, as_csv, sources)
    finally:
        if results:
            _save(results, out, trace, started, {chip: str(error) for chip, error in refused.items()})
    _tell(list(refused.values()), may_refuse=chips == "all" and bool(results))


def _values(
    functional: bool, inputs: str | None, scales: str | None, weight_scales: str | None, calibrate_on: str | None
) -> Functional | None:
    """Return what values are run on, None without `functional`; raises `UsageError` for its options without it."""
    from hwsim.simulate import Functional

    given = {"scales": scales, "weight_scales": weight_scales, "calibrate_on": calibrate_on}
    spelled = {name: value for name, value in given.items() if value is not None}
    if functional:
        return Functional(inputs, **spelled)
    if spelled:
        raise UsageError(f"--{next(iter(spelled)).replace('_', '-')} is of values that are run; add --functional")
    return None


def _simulate(
    network: Network,
    chip: Accelerator,
    dataflow: str | None,
    fmt: str | None,
    convert: bool,
    fidelity: str,
    seed: int,
    values: Functional | None,
) -> NetworkResult:
    from hwsim.simulate import simulate

    with progress(network) as done:
        return simulate(
            network,
            on=chip,
            dataflow=dataflow,
            format=fmt,
            convert=convert,
            fidelity=fidelity,
            seed=seed,
            functional=values or False,
            on_layer=done,
        )


def _tell(refused: list[InputError], may_refuse: bool) -> None:
    """Say why chips refused a network; raise the last reason unless each `may_refuse`."""
    for error in refused if may_refuse else refused[:-1]:
        click.echo(f"hwsim: left out: {printable(str(error))}", err=True)
    if refused and not may_refuse:
        raise refused[-1]


def _print(results: list[NetworkResult], as_json: bool, as_csv: bool, sources: bool) -> None:
    """Print the answer to standard output."""
    from hwsim.results import store

    if as_json or as_csv:
        click.echo(store.json_text(results) if as_json else store.csv_text(results), nl=False)
        return
    from hwsim.results import terminal

    for result in results:
        terminal.print_result(result)
    if len(results) > 1:
        terminal.console().print(terminal.totals_table(results))
    if sources:
        terminal.console().print(terminal.source_table(results))


def _save(
    results: list[NetworkResult], out: Path | None, trace: Path | None, started: float, left_out: dict[str, str]
) -> None:
    """Write the folder and the timeline that were asked for, and say so."""
    if out is None and trace is None:
        return
    from hwsim.results import store

    wall_s = time.perf_counter() - started
    written = store.write(results, out, catalog.names("report"), wall_s, left_out) if out else []
    if trace is not None:
        store.write_text(trace, store.trace_text(results))
    for path in (*([out] if out else []), *written, *([trace] if trace else [])):
        click.echo(f"wrote {path}", err=True)

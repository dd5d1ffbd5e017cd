"""The verbs of the command line. stdout is the answer, stderr is progress; what a verb needs is imported inside it."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwsim import __version__, catalog
from hwsim.errors import HwsimError, InputError, UsageError, near_match, printable

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.ir.layer import Layer
    from hwsim.ir.network import Network
    from hwsim.results.record import NetworkResult

INTERRUPTED = 130
PROGRESS_AFTER_S = 1.5
LIKE = ("scale-sim",)
BOTH = "--json and --csv both claim standard output; choose one"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hwsim")
def cli() -> None:
    """How long and how many joules a neural network takes, on which accelerator, in which number format.

    \b
    hwsim run alexnet --on systolic --out runs/alexnet
    hwsim run model.onnx --on systolic:rows=128,cols=128 --format int8
    hwsim run topology.csv --dataflow output_stationary --like scale-sim
    hwsim list networks
    """


@cli.command()
@click.argument("network")
@click.option(
    "--on",
    "chips",
    default="systolic",
    show_default=True,
    help="Chip or chips: NAME:key=value,... or a .py file; 'all' that can run it.",
)
@click.option("--dataflow", help="What stays in the PEs; the chip's own by default.")
@click.option("--format", "fmt", help="Number format; the chip's first by default.")
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
    fidelity: str,
    seed: int,
    inputs: str | None,
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
    from hwsim.results.like import with_scale_sim
    from hwsim.simulate import with_densities

    started = time.perf_counter()
    net = with_densities(catalog.network(network, **({"pad": True} if pad else {})), inputs, seed)
    machines = [catalog.chip(spec) for spec in catalog.split(chips, "chip")]
    results: list[NetworkResult] = []
    refused: list[InputError] = []
    try:
        for machine in machines:
            try:
                result = _simulate(net, machine, dataflow, fmt, fidelity, seed)
            except InputError as error:
                refused.append(error)
                continue
            results.append(result if like is None else with_scale_sim(result))
        if results:
            _print(results, as_json, as_csv, sources)
    finally:
        if results:
            _save(results, out, trace, started)
    _tell(refused, may_refuse=chips == "all" and bool(results))


@cli.command("list")
@click.argument("noun", default="all")
def list_(noun: str) -> None:
    """List NOUN: networks, chips, dataflows, formats, reports, or all of them."""
    nouns = {f"{name}s": name for name in catalog.FOLDERS}
    if noun != "all" and noun not in nouns:
        raise UsageError(f"no list of '{noun}'{near_match(noun, nouns)}")
    for title in nouns if noun == "all" else [noun]:
        if noun == "all":
            click.echo(f"{title}:")
        for name in catalog.names(nouns[title]):
            click.echo(f"  {name:<18} {catalog.describe(nouns[title], name)}")
            keys = catalog.parameters(nouns[title], name)
            if keys:
                click.echo(click.wrap_text(" ".join(keys), 110, f"  {'':<18} ", f"  {'':<18} "))


@cli.command()
@click.argument("name")
@click.argument("folders", metavar="RESULT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures; figures in the first RESULT.")
def report(name: str, folders: tuple[Path, ...], out: Path | None) -> None:
    """Draw report NAME of each RESULT, a folder that `hwsim run --out` wrote, in one picture."""
    from hwsim.results import store

    catalog.report(name)
    for path in store.draw(name, store.read_frames(folders), out or folders[0] / store.FIGURES):
        click.echo(str(path))


@cli.command()
@click.argument("folders", metavar="RESULT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--with", "tables", default="published", show_default=True, help="All tables there are, one, or a .csv.")
@click.option("--fail-above", type=float, metavar="PERCENT", help="Exit code 4 if a table's mean error is above.")
@click.option("--json", "as_json", is_flag=True, help="Print rows, mean errors and notes as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
def compare(folders: tuple[Path, ...], tables: str, fail_above: float | None, as_json: bool, as_csv: bool) -> None:
    """Hold each RESULT, a folder that `hwsim run --out` wrote, against tables of published figures.

    The tables are all that are shipped ("published"), one of them by its name, or a .csv file of your own. A row's
    error is relative to the published value; a table's mean is over its scored rows, regardless of sign. A scored row
    that is not in a result exceeds every limit.
    """
    if as_json and as_csv:
        raise UsageError(BOTH)
    if fail_above is not None and not 0 <= fail_above < float("inf"):
        raise UsageError(f"--fail-above {fail_above:g} is not a percentage from 0 on")
    from hwsim.results import compare as held
    from hwsim.results import store
    from hwsim.results.expectation import expectations

    rows = expectations(tables)
    found = [one for folder in folders for one in store.read_subjects(folder)]
    comparisons, notes = held.compare(found, rows), held.why_not_compared(found, rows)
    if as_json:
        click.echo(store.comparison_text(comparisons, notes), nl=False)
    elif as_csv:
        click.echo(store.rows_text([one.row() for one in comparisons]), nl=False)
        click.echo("".join(f"note: {printable(note)}\n" for note in notes), nl=False, err=True)
    else:
        from hwsim.results.terminal_compare import print_comparisons

        print_comparisons(comparisons, notes)
    if fail_above is not None:
        held.require_within(comparisons, fail_above)


def _simulate(
    network: Network, chip: Accelerator, dataflow: str | None, fmt: str | None, fidelity: str, seed: int
) -> NetworkResult:
    from hwsim.simulate import simulate

    with _progress(network) as done:
        return simulate(network, on=chip, dataflow=dataflow, format=fmt, fidelity=fidelity, seed=seed, on_layer=done)


@contextmanager
def _progress(network: Network) -> Iterator[Callable[[Layer], None]]:
    """Show a bar of the MACs done on standard error, once a run has lasted longer than a moment."""
    from threading import Timer

    shown: list[Callable[[], None]] = []
    finished = [0]

    def show() -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        from hwsim.results.terminal import console

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=console(stderr=True), transient=True)
        task = bar.add_task(printable(network.name), total=network.macs or None, completed=finished[0])
        bar.start()
        shown.append(bar.stop)
        advance.append(lambda macs: bar.update(task, completed=macs))

    advance: list[Callable[[int], None]] = []

    def done(layer: Layer) -> None:
        finished[0] += layer.macs
        for update in advance:
            update(finished[0])

    timer = Timer(PROGRESS_AFTER_S, show)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield done
    finally:
        timer.cancel()
        if timer.ident:
            timer.join()
        for stop in shown:
            stop()


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
    if sources:
        terminal.console().print(terminal.source_table(results))


def _save(results: list[NetworkResult], out: Path | None, trace: Path | None, started: float) -> None:
    """Write the folder and the timeline that were asked for, and say so."""
    if out is None and trace is None:
        return
    from hwsim.results import store

    written = store.write(results, out, catalog.names("report"), time.perf_counter() - started) if out else []
    if trace is not None:
        store.write_text(trace, store.trace_text(results))
    for path in (*([out] if out else []), *written, *([trace] if trace else [])):
        click.echo(f"wrote {path}", err=True)


def main() -> None:
    """Run the command line; a user's mistake is one sentence on standard error and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run())
    except HwsimError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), UsageError.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", INTERRUPTED)


def _run() -> int:
    """Return the exit code of a run that did not fail; without a verb it is that of a usage error, with the help."""
    if not sys.argv[1:]:
        with click.Context(cli, info_name="hwsim") as context:
            click.echo(context.get_help(), err=True)
        return UsageError.exit_code
    try:
        return cli.main(prog_name="hwsim", standalone_mode=False) or 0
    except SystemExit:
        # click and rich exit with 1, the code of a bug, when the reader of a pipe has what it wanted
        return 0


def _fail(sentence: str, code: int) -> None:
    click.echo(f"hwsim: {printable(' '.join(sentence.split()))}", err=True)
    sys.exit(code)

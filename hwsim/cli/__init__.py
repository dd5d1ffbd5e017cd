"""The verbs of the command line. stdout is the answer, stderr is progress; what a verb needs is imported inside it."""

from __future__ import annotations

import io
import sys

import click

from hwsim import __version__
from hwsim.cli.compare import compare
from hwsim.cli.export import export
from hwsim.cli.list import list_
from hwsim.cli.measure import measure
from hwsim.cli.report import report
from hwsim.cli.run import run
from hwsim.cli.show import show
from hwsim.cli.sweep import sweep
from hwsim.cli.validate import validate
from hwsim.errors import HwsimError, UsageError, printable

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hwsim")
def cli() -> None:
    """How long and how many joules a neural network takes, on which accelerator, in which number format.

    \b
    hwsim run alexnet --on systolic --out runs/alexnet
    hwsim run model.onnx --on systolic:rows=128,cols=128 --format int8
    hwsim run topology.csv --dataflow output_stationary --like scale-sim
    hwsim sweep --networks alexnet,vgg --on 'eyeriss:rows={8,12,16}' --density 1.0,0.5
    hwsim measure resnet:depth=50 --on cpu
    hwsim list networks --long
    hwsim show bert:size=large
    """


for verb in (run, sweep, export, measure, compare, validate, report, list_, show):
    cli.add_command(verb)


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

"""`hwsim measure`: networks for real, on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from hwsim.cli.options import BOTH
from hwsim.errors import UsageError


@click.command()
@click.argument("network", required=False)
@click.option("--on", "device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--backend", default="", help="Library that runs the layers; the first that is installed by default.")
@click.option("--format", "fmt", help="Number format; the library's first by default.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads, pinned; one per core by default.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of weights and inputs that are drawn."
)
@click.option("--cold", is_flag=True, help="Fill the caches with other data before every layer.")
@click.option(
    "--budget",
    "budget_s",
    type=float,
    default=30.0,
    show_default=True,
    help="Seconds of runs at most; 55 with --calibrate.",
)
@click.option("--strict", is_flag=True, help="Refuse a noisy run (exit code 5) instead of flagging it.")
@click.option("--calibrate", is_flag=True, help="Fit the model of this machine, `cpu:host`, on shapes of its own.")
@click.option("--json", "as_json", is_flag=True, help="Print the measurement as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the layers as CSV.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write tables to; `hwsim compare` reads it.")
def measure(
    network: str | None,
    device: str,
    backend: str,
    fmt: str | None,
    threads: int,
    seed: int,
    cold: bool,
    budget_s: float,
    strict: bool,
    calibrate: bool,
    as_json: bool,
    as_csv: bool,
    out: Path | None,
) -> None:
    """Run NETWORK for real on this machine, layer by layer, or --calibrate the model of it.

    The record is that of a simulation, so that `hwsim compare --with measured` puts both side by side.
    """
    if as_json and as_csv:
        raise UsageError(BOTH)
    if calibrate:
        _calibrate(device, backend, budget_s, seed, _given())
        return
    if network is None:
        raise UsageError("measure needs a NETWORK, or --calibrate")
    from hwsim.measure.measure import measure as run
    from hwsim.results import store

    started = time.perf_counter()
    found = run(
        network,
        device,
        backend=backend,
        format=fmt,
        threads=threads,
        seed=seed,
        cold=cold,
        budget_s=budget_s,
        strict=strict,
    )
    if as_json or as_csv:
        click.echo(store.json_text([found]) if as_json else store.csv_text([found]), nl=False)
    else:
        from hwsim.measure.terminal import print_measurement

        print_measurement(found)
    if out is not None:
        store.write_tables([found], out, time.perf_counter() - started)
        click.echo(f"wrote {out}", err=True)


CALIBRATES = ("device", "backend", "seed", "budget_s", "calibrate")
"""Parameters that a calibration has, too."""


def _given() -> dict[str, str]:
    """Return the parameters that the user gave, with what they are called on the command line."""
    context = click.get_current_context()
    return {
        one.name: one.opts[0] if isinstance(one, click.Option) else "NETWORK"
        for one in context.command.params
        if one.name and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    }


def _calibrate(device: str, backend: str, budget_s: float, seed: int, given: Mapping[str, str]) -> None:
    """Calibrate the model of this CPU, and say what was found and where that is kept."""
    if extra := [said for name, said in given.items() if name not in CALIBRATES]:
        raise UsageError(f"--calibrate measures shapes of its own, and takes no {extra[0]}")
    if device != "cpu":
        raise UsageError(f"--calibrate fits the model of this CPU, not of '{device}'; benchmarks/gpu.py fits GPUs")
    from hwsim.measure.calibrate import BUDGET_S, calibrate, summary

    found = calibrate(
        backend,
        budget_s if "budget_s" in given else BUDGET_S,
        seed,
        say=lambda what: click.echo(f"calibrating: {what}", err=True),
    )
    click.echo(summary(found))
    click.echo(f"wrote {found.path}; `--on cpu:host` uses it")

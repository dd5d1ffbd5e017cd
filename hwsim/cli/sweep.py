"""`hwsim sweep`: many simulations, each computed once."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from hwsim.errors import printable


@click.command()
@click.argument("study", required=False, metavar="[STUDY.toml]", type=click.Path(path_type=Path))
@click.option("--networks", help="Networks, with lists and ranges: 'resnet:depth={18,50}'; 'all'.")
@click.option("--on", help="Chips: 'eyeriss:rows={8,12,16},glb_kib=64:256:64'; 'all'.  [default: systolic]")
@click.option("--dataflow", help="Dataflows; each chip's own by default.")
@click.option("--format", help="Number formats; each chip's own by default.")
@click.option("--density", help="Shares of weights that are not zero: 1.0,0.5,0.1; the networks' own by default.")
@click.option("--input-density", help="The same of inputs.")
@click.option("--batch", help="Batches: 1,8,64; the networks' own by default.")
@click.option("--objective", help="What is sought: latency, energy, edp, area, ...  [default: latency,energy]")
@click.option("--search", help="grid (every point), random or guided (NSGA-II, towards the front).  [default: grid]")
@click.option("--samples", type=click.IntRange(1), help="Points of random and guided.  [default: a tenth, 100 or more]")
@click.option("--seed", type=click.IntRange(0), help="Of random and guided.  [default: 0]")
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option(
    "--cluster", metavar="ADDRESS", help="A dask scheduler, tcp://host:8786, or 'local': --jobs workers here."
)
@click.option("--no-layers", is_flag=True, help="Keep totals of points alone.")
@click.option("--out", type=click.Path(path_type=Path), help="File of the study; the same sweep finds its own again.")
@click.option("--resume", metavar="FILE", type=click.Path(path_type=Path), help="Go on with what this study is of.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def sweep(study: Path | None, no_layers: bool, as_json: bool, resume: Path | None, **given: Any) -> int:
    """Compute every network on every chip with all of the values, each point once, into one SQLite file.

    Lists stand in braces, ranges are start:stop:step or start:stop:*factor. STUDY.toml holds the same options; those
    given here stand in place of its own. Several sweeps may share a file: what it has is not computed again.

    A point that fails is kept with its error, and the exit code is 3 (1 for a bug of ours). Ctrl-C, or SIGTERM, ends
    the sweep within seconds with exit code 130, and --resume goes on; so it does after a kill or a full disk.

    \b
    hwsim sweep --networks alexnet,vgg --on 'eyeriss:rows={8,12,16},glb_kib=64:256:64' --density 1.0,0.5,0.1
    hwsim sweep --networks alexnet --on 'systolic:rows=8:256:*2,cols=8:256:*2' --search guided --samples 200
    hwsim sweep --resume study.sqlite --jobs 8
    """
    from hwsim.sweep import sweep as run
    from hwsim.sweep.summary import INTERRUPTED
    from hwsim.sweep.terminal import print_summary, telling

    layers = False if no_layers else None
    try:
        with telling() as tell:
            done = run(study=study, resume=resume, layers=layers, on_progress=tell, **given)
    except KeyboardInterrupt:
        click.echo("hwsim: interrupted; what was committed is kept, and --resume FILE goes on from there", err=True)
        return INTERRUPTED
    if as_json:
        import json

        click.echo(json.dumps(done.record(), indent=1))
    else:
        print_summary(done)
    if done.interrupted:
        said = f"interrupted: {done.done:,} of {done.points:,} points are kept"
        click.echo(f"hwsim: {said}; hwsim sweep --resume {printable(quote(str(done.path)))} goes on", err=True)
    return done.exit_code

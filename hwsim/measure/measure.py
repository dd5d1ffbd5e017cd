"""The whole flow on one screen: network -> backend -> pinned threads -> timed runs -> measurement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from hwsim import catalog
from hwsim.errors import HardwareError, InputError, UsageError, counted
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.measure import power
from hwsim.measure.backend import Backend, Runner
from hwsim.measure.backends import chosen
from hwsim.measure.machine import this_machine
from hwsim.measure.operands import require_memory
from hwsim.measure.record import SPLIT, Measurement
from hwsim.measure.threads import chosen_cpus, pinned
from hwsim.measure.timing import DRIFT, NOISY_SPREAD, Collected, collect

SHARED = "energy of a layer is the run's, by its share of the time"


def measure(
    network: str | Network,
    on: str = "cpu",
    *,
    backend: str = "",
    format: str | NumberFormat | None = None,  # noqa: A002 - the option's name everywhere else
    threads: int = 0,
    seed: int = 0,
    cold: bool = False,
    budget_s: float = 30.0,
    strict: bool = False,
    on_layer: Callable[[Layer], None] | None = None,
) -> Measurement:
    """Return how long `network` takes on this machine, layer by layer, on seeded weights and inputs.

    `on` is "cpu" or "cuda", `backend` a library, the first one installed by default; `threads` 0 is one per core. With
    `cold` the caches hold other data before each layer. Runs go on until the median is known or `budget_s` is spent;
    `on_layer` is called for every layer afterwards. Raises `UsageError` for unknown names, `InputError` for what cannot
    run, `HardwareError` for what this machine lacks, and, with `strict`, for noise.
    """
    if not budget_s > 0:
        raise UsageError(f"a budget of {budget_s:g} s leaves no time to run; give seconds above 0")
    net, (name, library) = catalog.network(network), chosen(backend, on)
    fmt, machine, cpus = number_format(net, name, library, format), this_machine(), chosen_cpus(threads)
    require_runnable(net)
    with (
        closing(power.meter(on)) as meter,
        pinned(cpus, name) as unbound,
        closing(library.prepare(net, fmt, len(cpus), seed)) as runner,
    ):
        collected, energy_j = timed(runner, cold, budget_s, meter)
        chip, clock_hz = device(on, machine.fingerprint, machine.clock_hz)
        said = [*net.notes, SPLIT, *runner.notes, *unbound, meter.note or SHARED]
        found = Measurement(
            net, machine, chip, on, name, fmt, collected, clock_hz, len(cpus), seed, cold, energy_j,
            dict(runner.fused), (*filter(None, said), *noise(collected)),
        )  # fmt: skip
    if strict and found.whole.noisy:
        raise HardwareError(f"this run of '{net.name}' is refused: {noise(collected)[0]}")
    for layer in net.layers if on_layer is not None else ():
        on_layer(layer)  # type: ignore[misc]
    return found


def number_format(network: Network, name: str, library: Backend, asked: str | NumberFormat | None) -> NumberFormat:
    """Return the format asked for, else the one the network is published in if the library has it, else its first."""
    published = network.format if network.format in library.formats else ""
    fmt = catalog.number_format(asked or published or library.formats[0])
    if fmt.name not in library.formats:
        raise InputError(f"backend '{name}' computes in {', '.join(library.formats)}, not in {fmt.name}")
    return fmt


def require_runnable(network: Network) -> None:
    """Raise `InputError` for a network without layers, with operators nobody knows, or too large for the memory."""
    if not network.layers:
        raise InputError(f"network '{network.name}' has no layers to measure")
    if network.unsupported:
        listed = ", ".join(f"{name} ({count}x)" for name, count in sorted(network.unsupported.items()))
        raise InputError(f"network '{network.name}' cannot be run: it has operators that are not simulated: {listed}")
    require_memory(network)


def timed(runner: Runner, cold: bool, budget_s: float, meter: power.Meter) -> tuple[Collected, float]:
    """Return the runs, and the energy of one of them [J], from runs in a row while a counter runs; 0 without one."""
    collected = collect(lambda count: runner.samples(count, cold), budget_s, lambda: runner.samples(1, False))
    if not meter.counters:
        return collected, 0.0
    before, count = meter.read_j(), len(collected.samples)
    again = runner.samples(min(count, 20), cold)
    joules = meter.joules(before, meter.read_j())
    busy_s = sum(sample.total_s + sum(sample.layers_s.values()) for sample in again)
    return collected, joules / busy_s * collected.whole.median_s if busy_s else 0.0


def device(on: str, fingerprint: str, clock_hz: int) -> tuple[str, int]:
    """Return what the column `chip` says, and the clock [Hz] of its cycles."""
    if on == "cpu":
        return f"cpu:{fingerprint}", clock_hz
    import torch

    properties = torch.cuda.get_device_properties(0)
    return properties.name, getattr(properties, "clock_rate", 0) * 1000


def noise(collected: Collected) -> tuple[str, ...]:
    """Return the sentence that flags a noisy run, if it is one."""
    whole = collected.whole
    if not whole.noisy:
        return ()
    if whole.spread >= NOISY_SPREAD:
        what = f"from the 10th to the 90th percentile it spreads by {whole.spread:.0%}, {NOISY_SPREAD:.0%} is noise"
    else:
        what = f"its median moved by {whole.drift:+.0%} between the halves of the series, {DRIFT:.0%} is drift"
    return (f"noisy: over {counted(len(whole.seconds), 'run')} {what}; another program may be running",)

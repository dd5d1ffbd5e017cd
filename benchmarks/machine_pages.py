"""Writes what follows from the catalogue into docs/machines: pictures, parameters, sources, machines, scoreboard.

Run as `python benchmarks/machine_pages.py [--write]`; without --write it says which pages are out of date, and exits
with 1 if any is. Only what stands between the markers of a page is rewritten.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from hwsim import catalog
from hwsim.arch import Accelerator, Source
from hwsim.mapping.cpu.facts import MACHINES as CPUS
from hwsim.measured.host import HOST

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "machines"
SCOREBOARD = ROOT / "reports" / "scoreboard" / "scoreboard.csv"

MARKED = re.compile(
    r"(?P<begin><!-- (?P<kind>generated|scoreboard): (?P<name>\w+) -->\n)(?P<body>.*?)(?P<end><!-- /(?P=kind) -->)",
    re.DOTALL,
)
"""A part of a page that is rewritten."""

UNITS = {
    "_gib_s": "GiB/s", "_gb_s": "GB/s", "_mhz": "MHz", "_kib": "KiB", "_mib": "MiB", "_bits": "bits", "_bytes": "bytes",
    "_ns": "ns", "_nm": "nm", "_w": "W", "_percent": "%", "_cost": "MACs", "_spad": "words", "_tiles": "tiles",
    "_depth": "entries", "_lanes": "lanes", "_length": "activations",
    "rows": "PEs", "cols": "PEs", "pes": "PEs", "nodes": "nodes", "sms": "SMs", "threads": "cores",
    "accumulators": "rows of sums",
}  # fmt: skip
"""Units by the ending of a parameter's name."""

FITTED = "constants of "
"""How the names of sources begin that are of fitted constants."""

Rows = Iterable[Sequence[object]]


def pages() -> list[Path]:
    """Return the page of every chip in the catalogue, whether it is there or not."""
    return [PAGES / f"{name}.md" for name in catalog.names("chip")]


def rewritten(text: str, name: str) -> str:
    """Return the page of chip `name` with all that is generated as it is now."""

    def part(match: re.Match[str]) -> str:
        kind, what = match["kind"], match["name"]
        body = (scoreboard(what) if kind == "scoreboard" else PARTS[what](name)).strip()
        return match["begin"] + (f"\n{body}\n\n" if body else "") + match["end"]

    return MARKED.sub(part, text)


def picture(name: str) -> str:
    """Return the block diagram in the docstring of a chip's file: all between its first and last indented line."""
    lines = (importlib.import_module(f"hwsim.chips.{name}").__doc__ or "").splitlines()
    indented = [number for number, line in enumerate(lines) if line.startswith("    ")]
    drawn = dedent("\n".join(lines[indented[0] : indented[-1] + 1]))
    return f"```text\n{drawn}\n```\n"


def parameters(name: str) -> str:
    """Return the parameters of a chip with their defaults, units and sources, and what its function says of them."""
    chip, function = catalog.chip(name), getattr(importlib.import_module(f"hwsim.chips.{name}"), name)
    works = Works(chip.sources[key] for key in inspect.signature(function).parameters if key in chip.sources)
    rows = [
        (f"`{key}`", _plain(chip.parameters[key]), unit_of(key), works.cite(chip.sources.get(key)))
        for key in inspect.signature(function).parameters
    ]
    _, _, said = (inspect.getdoc(function) or "").partition("\n\n")
    return f"{table(('parameter', 'default', 'unit', 'source'), rows)}\n{works}{' '.join(said.split())}\n"


def unit_of(parameter: str) -> str:
    """Return the unit of a parameter, nothing for a choice."""
    return next((unit for ending, unit in UNITS.items() if parameter.endswith(ending)), "")


def sources(name: str) -> str:
    """Return the source of every constant that is no parameter, of every energy and of every area."""
    chip = catalog.chip(name)
    fmt = catalog.number_format(chip.formats[0])
    areas = chip.area(fmt)
    others = {key: source for key, source in chip.sources.items() if key not in chip.parameters}
    plain = {key: source for key, source in others.items() if not key.startswith(FITTED)}
    fitted = {key.removeprefix(FITTED): source for key, source in others.items() if key not in plain}
    priced = [*(one.source for one in chip.energy.entries), *(one.source for one in areas)]
    works = Works([*others.values(), *priced])
    found = table(("what", "source"), [(key, works.cite(source)) for key, source in plain.items()])
    parts = [folded(f"{len(plain)} constants and assumptions", found)]
    if fitted:
        parts.append(folded(f"{len(fitted)} sets of fitted constants", constants(fitted, works)))
    parts.append(folded(f"{len(chip.energy.entries)} energies", energies(chip, works)))
    if areas:
        total = f"{sum(one.area_mm2 for one in areas):.4g} mm2 in {fmt.name}"
        rows = [(one.component, _digits(one.area_mm2), works.cite(one.source)) for one in areas]
        parts.append(folded(f"area: {total}", table(("component", "area [mm2]", "source"), rows)))
    return f"{works}{''.join(parts)}"


def constants(found: Mapping[str, Source], works: Works) -> str:
    """Return fitted constants by class of operators and format, those that are the same in one row."""
    alike: dict[str, dict[str, list[str]]] = {}
    for key, source in found.items():
        op_class, _, fmt = key.partition(" in ")
        alike.setdefault(works.cite(source), {}).setdefault(op_class, []).append(fmt)
    rows = [
        ("; ".join(f"{op_class} in {', '.join(formats)}" for op_class, formats in classes.items()), said)
        for said, classes in alike.items()
    ]
    return table(("operators", "constants and source"), rows)


def energies(chip: Accelerator, works: Works) -> str:
    """Return the energy table of a chip, actions of the same energy in one row."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for one in chip.energy.entries:
        per = f"{one.bits} bit{'s' if one.bits > 1 else ''}" if one.bits else "action"
        key = (one.component, _digits(one.energy_pj), per, f"{one.node_nm:g}", works.cite(one.source))
        alike.setdefault(key, []).append(one.action)
    rows = [(key[0], ", ".join(actions), *key[1:]) for key, actions in alike.items()]
    return table(("component", "action", "energy [pJ]", "per", "node [nm]", "source"), rows)


def machines(name: str) -> str:
    """Return the machines that a chip has presets for, this computer aside."""
    from hwsim.chips.gpu import LINEAGE

    presets = LINEAGE if name == "gpu" else [one for one in CPUS if one != HOST]
    rows = []
    for preset in presets:
        chip = catalog.chip(f"{name}:{preset}")
        given = chip.parameters
        rates = ", ".join(f"{fmt} {_tera(chip, fmt)}" for fmt in chip.formats)
        numbers = (f"{chip.clock_hz / 1e6:g}", _plain(given["bandwidth_gb_s"]), _plain(given["tdp_w"]))
        rows.append((f"`{name}:{preset}`", chip.array, *numbers, rates))
    titles = ("machine", "array", "clock [MHz]", "memory [GB/s]", "TDP [W]", "peak [10^12 MAC/s]")
    return table(titles, rows)


def scoreboard(name: str) -> str:
    """Return the rows of the scoreboard that are of a chip, nothing as long as there is no scoreboard.

    A chip that is run in another way, said behind a comma, has rows of its own where these differ.
    """
    if not SCOREBOARD.exists():
        return ""
    with SCOREBOARD.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if re.split("[:, ]", row["machine"])[0] == name]
    own = {(row["machine"], row["metric"]): [row[key] for key in DIFFERING] for row in rows}
    told = [
        row
        for row in rows
        if own[row["machine"], row["metric"]] != own.get((row["machine"].partition(",")[0], row["metric"]))
        or "," not in row["machine"]
    ]
    cells = [scored(row) for row in told]
    filled = [column for column in range(len(SCORED)) if any(row[column] for row in cells)]
    shown = table([SCORED[column] for column in filled], ([row[column] for column in filled] for row in cells))
    return f"{shown}\n{EVERY_ROW}\n"


EVERY_ROW = (
    "Every row, what is not scored and why, and what other tools claim: "
    "[scoreboard](../../reports/scoreboard/scoreboard.md)."
)
DIFFERING = ("scored", "mean_error", "worst_error")
SCORED = ("machine", "what", "scored", "within tolerance", "mean error", "worst", "worst row", "plain roofline",
          "measured again", "calibrated on", "chosen in view of these rows")  # fmt: skip


def scored(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return a row of the scoreboard as a page has it."""
    unit = "points" if row["error_unit"] == "points" else "%"
    held = f"{row['within_tolerance']} of {row['with_tolerance']}" if int(row["with_tolerance"]) else ""
    means = {key: f"{float(row[key]):.3g} {unit}" if row[key] else "" for key in MEANS}
    worst = f"{float(row['worst_error']):+.3g} {unit}" if row["worst_error"] else ""
    counted = f"{row['scored']} of {row['rows']}"
    mean, *others = means.values()
    return (row["machine"], row["metric"], counted, held, mean, worst, row["worst_row"], *others,
            row["calibrated"], row["chosen_in_view"])  # fmt: skip


MEANS = ("mean_error", "roofline_mean_error", "measured_again_mean_error")


PARTS: Mapping[str, Callable[[str], str]] = {
    "picture": picture, "parameters": parameters, "sources": sources, "machines": machines,
}  # fmt: skip
"""What stands between `<!-- generated: NAME -->` and `<!-- /generated -->`."""


class Works:
    """Published works, each named once and cited by number."""

    def __init__(self, cited: Iterable[Source]) -> None:
        named = (_work(one) for one in cited if not one.is_assumed)
        self.numbers = {work: number for number, work in enumerate(dict.fromkeys(named), 1)}

    def cite(self, source: Source | None) -> str:
        """Return where a number is from, works by number."""
        if source is None:
            return ""
        if source.is_assumed:
            said = str(source)
            for work, number in self.numbers.items():
                said = said.replace(work, f"[{number}]")
            return said.replace("assumed: assumed: ", "assumed: ")
        return f"[{self.numbers[_work(source)]}] {source.locator}".rstrip()

    def __str__(self) -> str:
        """Return the list of works, or nothing."""
        if not self.numbers:
            return ""
        return "".join(f"- [{number}] {escaped(work)}\n" for work, number in self.numbers.items()) + "\n"


def _work(source: Source) -> str:
    return str(Source(source.work, source.year))


def folded(title: str, body: str) -> str:
    """Return a part of a page that opens when asked."""
    return f"<details><summary>{title}</summary>\n\n{body}\n</details>\n\n"


def table(titles: Sequence[str], rows: Rows) -> str:
    """Return a table of Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(escaped(str(cell)) for cell in line)} |\n" for line in lines)


def escaped(text: str) -> str:
    """Return `text` as a cell of a table shows it."""
    return " ".join(text.replace("|", r"\|").replace("<", "&lt;").split())


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e4 else f"{value:.4g}"


def _tera(chip: Accelerator, fmt: str) -> str:
    return f"{chip.peak_macs_per_cycle(catalog.number_format(fmt)) * chip.clock_hz / 1e12:.3g}"


def main() -> None:
    """Rewrite the pages, or say which are out of date."""
    write = "--write" in sys.argv[1:]
    stale = []
    for page in filter(Path.exists, pages()):
        text = page.read_text(encoding="utf-8")
        made = rewritten(text, page.stem)
        if made != text:
            stale.append(page)
            if write:
                page.write_text(made, encoding="utf-8")
            print(f"{'wrote' if write else 'out of date:'} {page.relative_to(ROOT)}")
    sys.exit(1 if stale and not write else 0)


if __name__ == "__main__":
    main()

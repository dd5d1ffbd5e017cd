"""The whole of `hwsim validate`: the pages under version control are what the code gives, and the verb tells it."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from command import answer, hwsim

from hwsim import catalog
from hwsim.errors import UsageError
from hwsim.validate import Record, records, scores
from hwsim.validate.markdown import COMMAND, scoreboard
from hwsim.validate.output import FIGURES, scores_text
from hwsim.validate.readme import BEGIN, END, block

mpl.use("agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "reports" / "scoreboard"

OUT_OF_DATE = f"is not what the code gives; if the change is meant, `{COMMAND}` refreshes it"


@cache
def every() -> list[Record]:
    return records()


def require_same(name: str, shown: str, given: str) -> None:
    """Fail with the first lines that are not shown: a diff of whole pages would take minutes."""
    if shown != given:
        known = set(shown.splitlines())
        fresh = [line for line in given.splitlines() if line not in known]
        pytest.fail("\n".join([f"{name} {OUT_OF_DATE}", *fresh[:8]]))


def test_the_scoreboard_is_what_the_code_gives() -> None:
    require_same("scoreboard.md", (FOLDER / "scoreboard.md").read_text(encoding="utf-8"), scoreboard(every()))
    require_same("scoreboard.csv", (FOLDER / "scoreboard.csv").read_text(encoding="utf-8"), scores_text(every()))
    assert all((FOLDER / f"{name}.png").is_file() for name in FIGURES)


def test_readme_shows_the_scoreboard() -> None:
    _, begin, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    if not begin:
        pytest.skip("README.md has no marks for the scoreboard")
    require_same("README.md", rest.partition(END)[0], f"\n{block(every())}")


def test_scale_sims_layers_are_equal_in_every_row() -> None:
    rows = [one for one in every() if one.group == "tool"]
    assert len(rows) == 3 * 774
    assert all(one.simulated == one.reference for one in rows)


def test_every_machine_of_the_papers_is_held_against_its_paper() -> None:
    scored = {one.machine for one in every() if one.scored}
    assert scored >= {"tpu_v1", "eyeriss", "eie", "dadiannao", "isca2016", "systolic", "gpu:h100", "gpu:titan_x"}
    assert scored >= {"cpu:sapphire_rapids_vm_2c", "cpu:i7_5930k"}


def test_every_score_says_what_its_constants_were_fitted_on() -> None:
    assert [(one.machine, one.metric) for one in scores(every()) if not one.calibrated] == []


def test_only_takes_machines_tables_metrics_and_nothing_else() -> None:
    assert {one.machine for one in records("TPU_v1_table3")} == {"tpu_v1"}
    with pytest.raises(UsageError, match="nothing that is validated has 'eyerisss' in its name; did you mean"):
        records("eyerisss")


def test_the_verb_prints_scores_rows_and_fails_above_a_limit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = json.loads(answer("validate", "--only", "isca2016", "--json", "--out", out))
    (score,) = whole["scores"]
    assert (score["machine"], score["scored"], score["within_tolerance"]) == ("isca2016", 5, 5)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            "scoreboard.md",
            "scoreboard.csv",
            "rows.csv",
            *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")),
        ]
    )
    rows = list(csv.DictReader(io.StringIO((out / "rows.csv").read_text(encoding="utf-8"))))
    assert len(rows) == len(whole["rows"]) == 6
    failed = hwsim("validate", "--only", "isca2016", "--fail-above", "1")
    assert failed.code == 4
    assert "isca2016, energy over row-stationary: 2.11 %" in failed.err
    assert "missed" not in failed.out
    assert "Chen" not in failed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "--csv"], "--json"),
        (["--readme", "README.md", "--only", "eie"], "--readme shows all machines; leave out --only eie"),
        (["--only", "eyerix"], "nothing that is validated has 'eyerix' in its name; did you mean 'eyeriss'?"),
        (["--only", "zzz"], "in its name; machines are cpu:haswell_e5_2699v3, cpu:i7_5930k, "),
        (["--fail-above", "-1"], "--fail-above -1 is not a percentage from 0 on"),
    ],
)
def test_a_users_mistake_is_one_sentence(words: list[str], said: str) -> None:
    failed = hwsim("validate", *words)
    assert failed.code == 2
    assert said in failed.err
    assert len(failed.err.splitlines()) == 1


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("only", ["tpu_v1", "isca2016", ""])
def test_figures_name_every_machine_and_nothing_overlaps(name: str, only: str) -> None:
    rows = [one for one in every() if only in one.machine]
    figure = catalog.report(name)(pd.DataFrame([one.row() for one in rows]))
    figure.canvas.draw()
    (axes,) = figure.axes
    labels = [label for label in axes.get_yticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert all(low.y0 >= high.y1 - 1 or high.y0 >= low.y1 - 1 for low, high in pairwise(boxes))
    assert all(box.x0 >= 0 for box in boxes)
    own = {one.machine for one in rows if one.scored and "," not in one.machine and " over " not in one.machine}
    told = {label.get_text().partition(" (")[0] for label in labels}
    assert own <= told
    plt.close(figure)

"""Result folders for pages, such as somebody hostile would send, and what HTML says of itself."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hwsim
from hwsim.results import store
from hwsim.results.record import Row

SMALL, LARGE = "systolic:rows=5,cols=3", "systolic:rows=11,cols=7"
MLP = "mlp:hidden=31-13,inputs=17,classes=7"

HOSTILE = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "{{7*7}}{% raw %}${7*7}",
    "'\"`&lt;&#60; onclick='pwned()'",
    "javascript:alert(1)",
    "</style><style>*{display:none}</style>",
    "</title></caption></table>--><!--]]>",
    "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "long" * 100,
)
"""Names that a page could take for instructions."""


def folder(path: Path, network: str = MLP, chips: tuple[str, ...] = (SMALL, LARGE)) -> Path:
    """Return a result folder without pictures."""
    store.write_tables([hwsim.simulate(network, on=chip) for chip in chips], path, 0.0)
    return path


def hostile(path: Path) -> Path:
    """Return a result folder in which every text is one of `HOSTILE`, its layers' names among them all."""
    folder(path)
    whole = json.loads((path / store.RESULT).read_text("utf-8"))
    for result in whole["results"]:
        result["inputs"] |= {"network": HOSTILE[0], "parameters": {HOSTILE[1]: HOSTILE[0]}}
        result |= {"notes": list(HOSTILE), "hwsim": HOSTILE[0]}
        result["sources"] = [{"what": HOSTILE[1], "source": name} for name in HOSTILE]
        result["layers"] = [_renamed(row, place) for place, row in enumerate(result["layers"])]
    (path / store.RESULT).write_text(json.dumps(whole), encoding="utf-8")
    lines = [row for result in whole["results"] for row in result["layers"]]
    (path / store.LAYERS).write_text(_csv(lines), encoding="utf-8")
    return path


def _renamed(row: Row, place: int) -> Row:
    names = {"network": HOSTILE[0], "layer": HOSTILE[place % len(HOSTILE)], "kind": HOSTILE[2], "dataflow": HOSTILE[3]}
    return {**row, **names, "chip": f"{HOSTILE[1]} {row['chip'][-1]}", "format": HOSTILE[4]}


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def changed(path: Path, **parts: Any) -> Path:
    """Change parts of every result of a folder."""
    whole = json.loads((path / store.RESULT).read_text("utf-8"))
    for result in whole["results"]:
        result |= parts
    (path / store.RESULT).write_text(json.dumps(whole), encoding="utf-8")
    return path


@dataclass
class Parsed(HTMLParser):
    """What is in an HTML text: elements with their attributes, and text by element."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def parsed(text: str) -> Parsed:
    found = Parsed()
    found.feed(text)
    found.close()
    return found

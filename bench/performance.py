"""Makes docs/performance.md and its pictures of what the benches have written as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.plots import draw
from bench.report import Chart, Table, Target


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run of a bench found."""

    name: str
    title: str
    date: str
    command: str
    quick: bool
    failure: str
    machine: Mapping[str, object]
    headlines: Sequence[str]
    targets: Sequence[Target]
    tables: Sequence[Table]
    charts: Sequence[Chart]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what a bench has written."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            name=path.stem,
            targets=[Target(**target) for target in content["targets"]],
            tables=[
                Table(**table | {"columns": tuple(table["columns"]), "rows": [tuple(row) for row in table["rows"]]})
                for table in content["tables"]
            ],
            charts=[Chart(**chart) for chart in content["charts"]],
            **{name: content[name] for name in ("title", "date", "command", "quick", "failure", "machine")},
            headlines=content["headlines"],
        )


def write_performance(names: Sequence[str], results: Path, commentary: Path, docs: Path) -> None:
    """Write the page at `docs` and its pictures in the directory of the same name, for those benches that have results.

    `commentary` is what people have written; it comes first.
    """
    found = [Result.read(results / f"{name}.json") for name in names if (results / f"{name}.json").exists()]
    pictures = docs.with_suffix("")
    docs.parent.mkdir(parents=True, exist_ok=True)
    for result in found:
        if result.charts:
            draw(result.charts, result.title, pictures / f"{result.name}.png")
    missing = [name for name in names if name not in {result.name for result in found}]
    text = page(found, missing, commentary.read_text(encoding="utf-8"), pictures.name)
    docs.write_text(text, encoding="utf-8")


def page(results: Sequence[Result], missing: Sequence[str], commentary: str, pictures: str) -> str:
    """Return the page. `pictures`: the directory beside it."""
    common = _common_facts(results)
    parts = [
        "# Performance",
        "Written by `python -m bench.all`; what people have to say about it is in `bench/commentary.md`. "
        "[bench/README.md](../bench/README.md) says what each bench shows.",
        commentary.strip(),
        *(_targets(results) if any(result.targets for result in results) else []),
        *(_machine(common) if common else []),
        *(part for result in results for part in _section(result, common, pictures)),
        *([f"Without a result: {', '.join(f'`{name}`' for name in missing)}."] if missing else []),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _common_facts(results: Sequence[Result]) -> dict[str, object]:
    """Return what is the same of the machine in all runs."""
    first, *others = [result.machine for result in results] or [{}]
    return {
        name: value for name, value in first.items() if all(name in other and other[name] == value for other in others)
    }


def _targets(results: Sequence[Result]) -> list[str]:
    rows = [
        (result.name, target.what, target.wanted, target.found, "yes" if target.met else "**no**")
        for result in results
        for target in result.targets
    ]
    met = sum(target.met for result in results for target in result.targets)
    table = Table(title="", columns=("bench", "what", "wanted", "found", "met"), rows=rows)
    return ["## Targets", f"{met} of {len(rows)} met.", table.markdown()]


def _machine(common: Mapping[str, object]) -> list[str]:
    rows = [(_words(name), str(value)) for name, value in common.items()]
    return ["## The machine", Table(title="", columns=("", "in all runs"), rows=rows).markdown()]


def _section(result: Result, common: Mapping[str, object], pictures: str) -> list[str]:
    own = [f"{_words(name)} {value}" for name, value in result.machine.items() if name not in common]
    return [
        f"## {result.name.replace('_', ' ').capitalize()}",
        f"{result.title} `{result.command}`, {', '.join([result.date, *own])}.",
        "**A quick run: it shows that the bench works, and its numbers mean nothing.**" if result.quick else "",
        f"**Failed: {result.failure}. Its numbers are worth nothing.**" if result.failure else "",
        "\n".join(f"- {headline}" for headline in result.headlines),
        f"![{result.title}]({pictures}/{result.name}.png)" if result.charts else "",
        *(table.markdown() for table in result.tables),
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")

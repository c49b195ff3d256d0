"""What a bench found, in one form for the terminal, for JSON, for Markdown and for plots."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, Self


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Repeated measurements of one thing, in whatever unit they were made."""

    minimum: float
    median: float
    maximum: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Sum up `values`; there must be at least one."""
        found = sorted(values)
        return cls(minimum=found[0], median=statistics.median(found), maximum=found[-1], count=len(found))

    def text(self, form: str = ".1f") -> str:
        """Return the median, and the range if it was measured more than once."""
        if self.count == 1:
            return format(self.median, form)
        return f"{self.median:{form}} ({self.minimum:{form}} - {self.maximum:{form}})"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of `values` lie, by nearest rank; `values` must not be empty."""
    found = sorted(values)
    return found[min(len(found) - 1, int(share * len(found)))]


def distribution(values: Sequence[float]) -> list[tuple[float | str, float]]:
    """Return points over 1 to 99 percent of `values`, as a line of a chart."""
    return [(percent, percentile(values, percent / 100)) for percent in (1, *range(5, 100, 5), 99)]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text below their columns' titles; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: a row of {len(row)} below {len(self.columns)} columns")

    def markdown(self) -> str:
        """Return it as a table of GitHub's Markdown."""
        lines = ["|".join(("", *(_escaped(cell) for cell in row), "")) for row in (self.columns, *self.rows)]
        lines.insert(1, "|---|" + "---:|" * (len(self.columns) - 1))
        head = [f"**{self.title}**", ""] if self.title else []
        tail = ["", f"_{self.caption}_"] if self.caption else []
        return "\n".join([*head, *lines, *tail])


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One picture: lines over numbers, or bars (beside each other, or stacked) over names."""

    title: str
    x_label: str
    y_label: str
    kind: Literal["lines", "bars", "stacked"] = "lines"
    series: Mapping[str, Sequence[tuple[float | str, float]]]
    """Points of each line or colour, by what the legend calls it. All bars have the same names in the same order."""
    target: float | None = None
    """A y that was wanted, drawn as a broken line."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What was wanted of a number, and what it was."""

    what: str
    wanted: str
    found: str
    met: bool
    must: bool = False
    """Whether missing it is a fault on any machine, such as a lost message: then the run fails."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that one run of a bench found."""

    headlines: list[str]
    """What matters, one sentence each, with its numbers."""
    tables: list[Table]
    data: dict[str, object]
    """The numbers themselves, for JSON; units are in the names."""
    charts: list[Chart] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    failure: str = ""
    """Why this run does not count, if it does not: it is shown and written all the same, and ends with exit code 1."""

    @property
    def fault(self) -> str:
        """Why this run fails, if it does: `failure`, or the targets that must be met and are not."""
        missed = (f"{one.what}: {one.found}" for one in self.targets if one.must and not one.met)
        return "; ".join(filter(None, (self.failure, *missed)))

    def plain(self) -> dict[str, object]:
        """Return all of it as JSON can hold it, `data` at the top; `failure` is the whole fault."""
        return self.data | {
            "failure": self.fault,
            "headlines": self.headlines,
            "targets": [asdict(target) for target in self.targets],
            "tables": [asdict(table) for table in self.tables],
            "charts": [asdict(chart) for chart in self.charts],
        }

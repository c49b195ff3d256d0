"""Draws what a bench found as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report import Chart

_WIDTH_INCHES, _HEIGHT_INCHES, _COLUMNS = 6.4, 4.0, 2
_ROOM_FOR_NAMES = 50


def draw(charts: Sequence[Chart], title: str, to: Path) -> None:
    """Write all charts of one bench into one PNG file.

    Raises:
        ValueError: there is none.
    """
    if not charts:
        raise ValueError(f"{title}: this run has nothing to draw")
    columns = min(_COLUMNS, len(charts))
    rows = -(-len(charts) // columns)
    figure = Figure(figsize=(_WIDTH_INCHES * columns, _HEIGHT_INCHES * rows), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place, chart in zip(places, charts, strict=False):
        _draw_one(place, chart)
    for unused in places[len(charts) :]:
        unused.set_axis_off()
    figure.suptitle(title)
    to.parent.mkdir(parents=True, exist_ok=True)
    # Without the date and version that matplotlib writes, the same numbers give the same file.
    figure.savefig(to, dpi=110, metadata={"Software": None})


def _draw_one(place: Axes, chart: Chart) -> None:
    if chart.kind == "lines":
        for name, points in chart.series.items():
            place.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=name)
    else:
        _draw_bars(place, chart)
    if chart.target is not None:
        place.axhline(chart.target, linestyle="--", color="grey", label="target")
    place.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    place.set_ylim(bottom=0)
    place.grid(axis="y", alpha=0.3)
    if len(chart.series) > 1 or chart.target is not None:
        place.legend(fontsize="small")


def _draw_bars(place: Axes, chart: Chart) -> None:
    names = [str(x) for x, _ in next(iter(chart.series.values()))]
    spots = range(len(names))
    stacked = chart.kind == "stacked"
    width = 0.8 if stacked else 0.8 / len(chart.series)
    below = [0.0] * len(names)
    for index, (name, points) in enumerate(chart.series.items()):
        heights = [y for _, y in points]
        if stacked:
            place.bar(spots, heights, width, bottom=below, label=name)
            below = [low + height for low, height in zip(below, heights, strict=True)]
        else:
            place.bar([spot + (index + 0.5) * width - 0.4 for spot in spots], heights, width, label=name)
    slanted = max(map(len, names)) * len(names) > _ROOM_FOR_NAMES
    place.set_xticks(list(spots), names, rotation=20 if slanted else 0, ha="right" if slanted else "center")

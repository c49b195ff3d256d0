"""Pictures of what was found."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from bench.plots import draw
from bench.report import Chart

LINES = Chart(title="l", x_label="sessions", y_label="s", series={"a": [(1, 2.0), (2, 3.0)], "b": [(1, 1.0)]}, target=2)
BARS = Chart(title="b", x_label="", y_label="MB", kind="bars", series={"a": [("one", 1.0), ("a long name", 2.0)]})
STACKED = Chart(
    title="s", x_label="", y_label="s", kind="stacked", series={"fetch": [("r2", 1.0)], "launch": [("r2", 2.0)]}
)


@pytest.mark.parametrize(
    "charts", [[LINES], [BARS], [STACKED], [LINES, BARS, STACKED]], ids=lambda charts: "-".join(c.kind for c in charts)
)
def test_the_picture_opens(charts: list[Chart], tmp_path: Path) -> None:
    draw(charts, "title", tmp_path / "new" / "picture.png")
    height, width, _ = imread(tmp_path / "new" / "picture.png").shape
    assert height >= 400
    assert width >= 600


def test_the_same_numbers_give_the_same_file(tmp_path: Path) -> None:
    draw([LINES, STACKED], "title", tmp_path / "1.png")
    draw([LINES, STACKED], "title", tmp_path / "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_nothing_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="title: this run has nothing to draw"):
        draw([], "title", tmp_path / "picture.png")

"""What a bench found, as numbers and as text."""

import pytest

from bench.report import Chart, Report, Spread, Table, Target, percentile


def test_a_spread_is_the_least_the_middle_and_the_most() -> None:
    spread = Spread.of([3.0, 1.0, 2.0, 10.0])
    assert (spread.minimum, spread.median, spread.maximum, spread.count) == (1.0, 2.5, 10.0, 4)


def test_a_spread_is_shown_with_its_range_if_it_was_measured_more_than_once() -> None:
    assert Spread.of([2.0]).text() == "2.0"
    assert Spread.of([1.0, 2.0, 4.0]).text(".2f") == "2.00 (1.00 - 4.00)"


def test_there_is_no_spread_of_nothing() -> None:
    with pytest.raises(IndexError):
        Spread.of([])


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 51), (0.95, 96), (0.99, 100), (1.0, 100)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_every_percentile_of_one_value_is_that_value() -> None:
    assert {percentile([7.0], share) for share in (0.0, 0.5, 0.99, 1.0)} == {7.0}


def test_a_table_as_markdown() -> None:
    table = Table(title="sizes", columns=("what", "MB"), rows=[("a|b", "1")], caption="on disk")
    assert table.markdown() == "**sizes**\n\n|what|MB|\n|---|---:|\n|a\\|b|1|\n\n_on disk_"


def test_a_table_without_title_and_caption_is_only_a_table() -> None:
    assert Table(title="", columns=("what",), rows=[("a",)]).markdown() == "|what|\n|---|\n|a|"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="sizes: a row of 1 below 2"):
        Table(title="sizes", columns=("what", "MB"), rows=[("a",)])


def test_a_report_has_its_numbers_at_the_top() -> None:
    report = Report(
        headlines=["fast"],
        tables=[],
        data={"wall_s": 1.5},
        charts=[Chart(title="c", x_label="x", y_label="y", series={"a": [(1, 2.0)]})],
        targets=[Target(what="wall", wanted="<= 2 s", found="1.5 s", met=True)],
    )
    plain = report.plain()
    assert plain["wall_s"] == 1.5
    assert plain["headlines"] == ["fast"]
    assert plain["failure"] == ""
    assert plain["targets"] == [{"what": "wall", "wanted": "<= 2 s", "found": "1.5 s", "met": True, "must": False}]


def test_a_target_that_must_be_met_fails_the_run_and_another_does_not() -> None:
    slow = Target(what="wall", wanted="<= 2 s", found="3 s", met=False)
    lost = Target(what="messages lost", wanted="0", found="1", met=False, must=True)
    assert Report(headlines=[], tables=[], data={}, targets=[slow]).fault == ""
    assert Report(headlines=[], tables=[], data={}, targets=[slow, lost], failure="torn").plain()["failure"] == (
        "torn; messages lost: 1"
    )

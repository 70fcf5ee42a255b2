import pytest

from components.quantization.records import Rate
from pipeline.numerals import show_figure, show_interval, show_percent, show_rate, show_share


@pytest.mark.parametrize(("share", "text"), [(0, "0.0 %"), (1e-5, "< 0.1 %"), (0.0123, "1.2 %"), (1, "100.0 %")])
def test_show_percent_shows_something_of_what_is_more_than_nothing(share, text):
    assert show_percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (85264.0, "85,264"), (85264, "85,264"), (1.0, "1"), (0.91234, "0.9123")]
)
def test_show_figure_of_counts_and_shares_reads_as_each(value, text):
    assert show_figure(value) == text


def test_show_what_is_undefined_is_a_dash():
    assert (show_share(None), show_interval(None), show_rate(None)) == ("-", "-", ("-", "-"))


def test_show_rate_has_four_decimals_in_both_columns():
    assert show_rate(Rate(count=2, images=3, value=2 / 3, interval=(0.25, 0.9))) == ("0.6667", "0.2500 to 0.9000")

"""Numbers as tables, pages and checks show them; what is undefined, or was not measured, is a dash."""

from components.intervals import Interval
from components.quantization.records import Rate

DASH = "-"


def show_count(number: int | None) -> str:
    """As in `85,264`."""
    return DASH if number is None else f"{number:,}"


def show_share(value: float | None) -> str:
    """An accuracy, AP or the like, as in `0.8912`."""
    return DASH if value is None else f"{value:.4f}"


def show_interval(interval: Interval | None) -> str:
    """As in `0.8512 to 0.9301`."""
    return DASH if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def show_rate(rate: Rate | None) -> tuple[str, str]:
    """The share and its interval, for a column each."""
    return (DASH, DASH) if rate is None else (show_share(rate.value), show_interval(rate.interval))


def show_figure(value: float | None) -> str:
    """A number of whatever size: counts as `85,264`, others with four digits."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def show_percent(share: float) -> str:
    """A share of a set; what is more than nothing never reads 0.0 %."""
    return f"{100 * share:.1f} %" if share == 0 or share >= 0.0005 else "< 0.1 %"

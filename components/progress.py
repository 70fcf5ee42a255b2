"""Progress of the long steps, told to whoever started them.

A step calls `report(done, total, unit)` as often as it likes, and `say(text)` for what should stay on the screen; both
cost nothing while nobody listens. The local runner listens and draws a bar; on a cluster nobody does.
"""

from collections.abc import Callable

OnReport = Callable[[int, int, str, str], None]
OnSay = Callable[[str], None]

_on_report: list[OnReport] = []
_on_say: list[OnSay] = []


def listen(on_report: OnReport, on_say: OnSay = lambda _: None) -> None:
    """Sends every later report and every later saying of this process to these two."""
    _on_report.append(on_report)
    _on_say.append(on_say)


def report(done: int, total: int, unit: str, detail: str = "") -> None:
    """Tells that `done` of `total` units (a plural noun: images, steps) are finished, and how it goes."""
    for listener in _on_report:
        listener(done, total, unit, detail)


def say(text: str) -> None:
    """Tells something about the running step, in one line."""
    for listener in _on_say:
        listener(text)

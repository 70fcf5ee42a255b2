"""Progress of the long steps, told to whoever started them.

A step calls `report(done, total, unit)` as often as it likes; it costs nothing while nobody listens. The local
runner listens and draws a bar; on a cluster nobody does.
"""

from collections.abc import Callable

Listener = Callable[[int, int, str], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Sends every later report of this process to `listener`."""
    _listeners.append(listener)


def report(done: int, total: int, unit: str) -> None:
    """Tells that `done` of `total` units (a plural noun: images, steps) are finished."""
    for listener in _listeners:
        listener(done, total, unit)

"""What the processes that are started here have in common."""

import ctypes
import signal

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """The kernel ends this process when the one that started it ends, however it ended."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

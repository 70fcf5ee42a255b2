"""Follows a run to its end, whichever cluster it is on."""

import time
from collections.abc import Callable

from pipeline.kubeflow.run_status import RunStatus, State, StepStatus, describe_state
from pipeline.kubeflow.server import NoAnswerError

_POLL_S = 5.0
_PATIENCE_S = 600.0
_NAME_WIDTH = 18


def follow(
    read: Callable[[], RunStatus],
    say: Callable[[str], None],
    *,
    poll_s: float = _POLL_S,
    patience_s: float = _PATIENCE_S,
) -> RunStatus:
    """Tells every change of a step's state, a line each, until the run has ended.

    Args:
      read: asks the cluster.
      say: where lines go.
      poll_s: between two questions.
      patience_s: how long the cluster may stay silent: its pods are replaced now and then, and the run goes on.

    Returns:
      The last status.

    Raises:
      NoAnswerError: if it stayed silent for longer.
    """
    seen: dict[str, State] = {}
    heard = time.monotonic()
    is_silent = False
    while True:
        try:
            status = read()
        except NoAnswerError as error:
            if time.monotonic() - heard > patience_s:
                raise
            if not is_silent:
                say(f"{error.message}; asking again")
            is_silent = True
        else:
            heard, is_silent = time.monotonic(), False
            for step in status.steps:
                if seen.get(step.name) is not step.state:
                    seen[step.name] = step.state
                    say(describe_step(step))
            if status.has_ended:
                return status
        time.sleep(poll_s)


def describe_step(step: StepStatus) -> str:
    """One line of text."""
    took = "" if step.seconds is None else f"  {step.seconds:,.0f} s"
    told = "" if step.error is None else f"  {step.error}"
    return f"{step.name:<{_NAME_WIDTH}}  {describe_state(step)}{took}{told}"

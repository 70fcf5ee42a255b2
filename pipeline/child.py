"""A process of its own for what needs TensorFlow: its chatter and its crashes stay away from the command."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Literal

from components.errors import PipelineError, VwwError
from components.options import Options
from pipeline.console import RunView
from pipeline.events import CHILD_EVENT, Answered, ChildEvent, Failed, NodeProgress, NodeSaid

Task = Literal["augment_preview", "budget", "compile", "evaluate", "layers", "predict", "rebuild"]

_LINES_OF_LOG = 5


def ask_child(task: Task, request: Options, view: RunView) -> str:
    """Has a task done in a process that is gone when this returns.

    Args:
      task: which.
      request: what the task takes, as `pipeline.child_worker` lists it.
      view: where progress goes; the caller has started a step.

    Returns:
      The answer as JSON.

    Raises:
      VwwError: the task's own, or PipelineError if the process dies.
    """
    with tempfile.TemporaryFile() as log, _process(task, request, log) as (process, events):
        for event in events:
            match event:
                case NodeProgress():
                    view.advance(event.done, event.total, event.unit, event.detail)
                case NodeSaid():
                    view.say(event.text)
                case Answered():
                    return event.answer
                case Failed():
                    raise VwwError.from_json(event.error)
        code = process.wait()
        log.seek(0)
        last = log.read().decode(errors="replace").splitlines()[-_LINES_OF_LOG:]
        end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise PipelineError(
            f"the {task} process ended without a word ({end}): {'; '.join(last) or 'its log is empty'}",
            hint="was the machine out of memory?",
        )


@contextmanager
def _process(
    task: Task, request: Options, log: IO[bytes]
) -> Iterator[tuple["subprocess.Popen[bytes]", Iterator[ChildEvent]]]:
    read_end, write_end = os.pipe()
    # A session of its own: Ctrl-C reaches the command, which then ends the child.
    process = subprocess.Popen(
        # -P: nothing that lies in the working directory is taken for a module.
        [sys.executable, "-P", "-m", "pipeline.child_worker", str(write_end), task],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[write_end],
        start_new_session=True,
    )
    os.close(write_end)
    try:
        assert process.stdin is not None
        try:
            process.stdin.write(request.to_json().encode())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; its exit code and its log tell
        with os.fdopen(read_end, encoding="utf-8") as lines:
            yield process, map(CHILD_EVENT.validate_json, lines)
    finally:
        process.kill()  # what it started itself ends with it
        process.wait()

"""The worker process: runs the graph and tells the command how it goes.

It runs apart from the command, so that what TFX and TensorFlow print goes to a log file, a crash of native code is an
error like any other, and the command can prepare the data while the imports take their 20 seconds.

    python -m pipeline.worker EVENTS_FD        the request, a `RunRequest`, comes on standard input
"""

import errno
import logging
import os
import sys
import time

from components import progress
from components.child_process import die_with_parent
from components.errors import PipelineError, StorageError, VwwError, causes
from components.options import Options
from pipeline.events import Failed, Finished, NodeFinished, NodeProgress, NodeSaid, NodeStarted, Ready
from pipeline.requests import RunRequest

_PROGRESS_INTERVAL_S = 0.2
# A disk that refuses to be written, and what ML Metadata's SQLite calls it.
_UNWRITABLE = {
    errno.ENOSPC: "database or disk is full",
    errno.EDQUOT: "database or disk is full",
    errno.EROFS: "attempt to write a readonly database",
}


class Events:
    """The way back to the command."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")
        self._quiet_until = 0.0

    def send(self, event: Options) -> None:
        """Hands over one event."""
        self._pipe.write(event.to_json() + "\n")

    def report(self, done: int, total: int, unit: str, detail: str) -> None:
        """Listens to `components.progress`; of the reports between two intervals only the last of all counts."""
        now = time.monotonic()
        if now >= self._quiet_until or done == total:
            self._quiet_until = now + _PROGRESS_INTERVAL_S
            self.send(NodeProgress(done=done, total=total, unit=unit, detail=detail))

    def say(self, text: str) -> None:
        """Listens to what should stay on the screen."""
        logging.info("%s", text)
        self.send(NodeSaid(text=text))


def main() -> None:
    """Imports, waits for the request, runs it."""
    die_with_parent()
    events = Events(int(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    node: list[str] = []
    try:
        from pipeline import graph  # noqa: F401  # takes about 20 s

        events.send(Ready())
        line = sys.stdin.readline()
        if line:
            progress.listen(events.report, events.say)
            events.send(Finished(outcome_path=_run(RunRequest.from_json(line), events, node)))
    except Exception as error:  # whatever it was, the command reports it
        logging.exception("the run stopped")
        events.send(Failed(node=node[-1] if node else None, error=_as_vww_error(error, node).to_json()))
        sys.exit(1)


def _run(request: RunRequest, events: Events, started: list[str]) -> str | None:
    """Runs every node that is asked for; returns the path of the MicroPusher's outcome, if it is one of them."""
    from components.pusher.outcome import OUTCOME_FILE
    from pipeline.graph import RunFacts, create_pipeline
    from pipeline.local import LocalRunner

    facts = RunFacts(
        request.run_id,
        request.dataset_fingerprint,
        request.released_version,
        request.code,
        request.label_names,
        request.started_utc,
        request.initial_weights_sha256,
        request.measures_refused,
    )
    runner = LocalRunner(create_pipeline(request.config, facts), request.run_id)
    runner.forget_interrupted()
    nodes = [node for node in runner.nodes if request.nodes is None or node in request.nodes]
    for index, node in enumerate(nodes, start=1):
        started.append(node)
        events.send(NodeStarted(node=node, index=index, total=len(nodes)))
        start = time.monotonic()
        cached = runner.launch(node)
        events.send(NodeFinished(node=node, cached=cached, seconds=time.monotonic() - start))
    return f"{runner.output_uri('MicroPusher', 'pushed_model')}/{OUTCOME_FILE}" if "MicroPusher" in nodes else None


def _as_vww_error(error: Exception, started: list[str]) -> VwwError:
    """The same, where it is a person's to mend; otherwise which node stopped, and its last words."""
    for cause in causes(error):
        if isinstance(cause, VwwError):
            return cause
    refusal = find_disk_refusal(error)
    if refusal is not None:
        return StorageError(
            f"{started[-1] if started else 'the run'} could not write: {refusal}",
            expected="room below run.root and release.uri, and the right to write there",
            hint="make room, or move them with --set run.root=DIR; finished nodes are not run again",
        )
    last_line = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return PipelineError(
        f"{started[-1] if started else 'the import of TFX'} stopped: {type(error).__name__}: {last_line.strip()[:500]}",
        hint="the log has the whole story; finished nodes are not run again",
    )


def find_disk_refusal(error: Exception) -> str | None:
    """What a disk said that refused to be written; None where that is not what the error is about."""
    numbers = [getattr(cause, "errno", None) for cause in causes(error)]
    for number, of_sqlite in _UNWRITABLE.items():
        if number in numbers or os.strerror(number) in str(error) or of_sqlite in str(error):
            return os.strerror(number).lower()
    return None


if __name__ == "__main__":
    main()

"""`vww run`: prepares a run, starts the worker, follows it to its end."""

import fcntl
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.errors import ConfigError, PipelineError, StorageError, VwwError
from components.example_gen.plan import DatasetPlan, plan_dataset
from components.pusher.baseline import find_baseline
from components.pusher.code_version import code_version
from components.pusher.outcome import Outcome
from components.pusher.stores import open_store
from components.trainer.weights_file import fingerprint_weights
from pipeline.anchors import check_anchors
from pipeline.beam import check_reaches_local_files
from pipeline.config import RunConfig
from pipeline.console import RunView
from pipeline.data_line import describe_plan
from pipeline.events import EVENT, Event, Failed, Finished, Ready
from pipeline.interruption import Interrupted
from pipeline.refusals import check_plan
from pipeline.requests import RunRequest

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

_GRACE_S = 5.0
# What TensorFlow, and the libraries below NumPy, read once when they start.
_THREAD_LIMITS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def run_pipeline(config: RunConfig, view: RunView, worker: "Worker") -> Outcome:
    """Runs a config to its end, released or refused.

    Args:
      config: what to run.
      view: where progress goes.
      worker: started by the caller, who may have had something to prepare meanwhile.

    Raises:
      VwwError: if keys, the data, initial weights, the release store or a node stops the run.
    """
    started_utc = utc_now()
    released_version = look_at_store(config)
    initial_weights_sha256 = fingerprint_weights(config.trainer, config.transform.side)
    plan = look_at_data(config, view)
    check_plan(config, plan)
    look_at_anchors(config, plan, view)
    request = RunRequest(
        config=config,
        run_id=worker.run_id,
        dataset_fingerprint=plan.fingerprint,
        released_version=released_version,
        code=code_version(),
        label_names=plan.label_names,
        started_utc=started_utc,
        initial_weights_sha256=initial_weights_sha256,
    )
    return run_request(request, view, worker)


def look_at_store(config: RunConfig) -> str | None:
    """The released version, once it is known that keys and store can be used; None where nothing was released.

    Raises:
      ConfigError: if a key cannot be used.
      ReleaseError: if something else than releases is there, or a baseline that no trusted key signed.
      StorageError: if the store cannot be written.
    """
    release = config.release
    trusted: tuple[SSlibKey, ...] = ()
    if release.signing_key is not None or release.trusted_keys:
        from components.pusher.provenance.trust import check_keys  # takes two seconds

        trusted = check_keys(release)
    return find_baseline(open_store(config.release_uri), config.name, trusted)


def look_at_data(config: RunConfig, view: RunView) -> DatasetPlan:
    """What a run would make of the data, shown as its first step.

    Raises:
      ConfigError: if Beam's workers could not reach what is written here.
      DataError: if the data cannot be used.
    """
    check_reaches_local_files(config.beam)
    view.start("data            ")
    plan = plan_dataset(config.data, lambda done, total: view.advance(done, total, "images looked at"))
    view.finish(describe_plan(plan, config.transform.max_boxes))
    return plan


def look_at_anchors(config: RunConfig, plan: DatasetPlan, view: RunView) -> None:
    """How a detector's anchors fit the boxes, shown as a step; a classifier has none.

    Raises:
      ConfigError: if none fits any.
    """
    if config.trainer.detector is not None:
        view.start("anchors         ")
        view.finish(check_anchors(config, config.trainer.detector, plan))


def run_request(request: RunRequest, view: RunView, worker: "Worker") -> Outcome:
    """Has the worker run the whole graph, and shows what it tells.

    Raises:
      VwwError: if a node stops the run.
    """
    outcome_path = _follow(request, view, worker)
    assert outcome_path is not None
    return Outcome.from_json(Path(outcome_path).read_text(encoding="utf-8"))


def run_nodes(request: RunRequest, view: RunView, worker: "Worker") -> None:
    """Has the worker run the nodes that the request names, and shows what it tells.

    Raises:
      VwwError: if one stops.
    """
    assert request.nodes is not None
    _follow(request, view, worker)


def _follow(request: RunRequest, view: RunView, worker: "Worker") -> str | None:
    """The path of the MicroPusher's outcome, if that node ran."""
    view.start("TFX             ")
    try:
        for event in worker.follow(request):
            match event:
                case Ready():
                    view.finish("imported")
                case Finished():
                    return event.outcome_path
                case Failed():
                    raise VwwError.from_json(event.error)
                case _:
                    view.show(event)
    except Interrupted:
        raise Interrupted("finished nodes are not run again") from None
    raise PipelineError(
        f"the pipeline's process ended without a word ({worker.describe_exit()})",
        hint="the log has its last lines; was the machine out of memory? finished nodes are not run again",
    )


class Worker:
    """The process that runs the graph; see `pipeline.worker`.

    Args:
      root: `run.root`, where the log goes.
      threads: how many of them TensorFlow may use for one operation; None for one per core.

    Raises:
      StorageError: if the log cannot be written.
    """

    def __init__(self, root: Path, threads: int | None = None) -> None:
        self.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.log_path = root / "logs" / f"{self.run_id}.log"
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            log = self.log_path.open("wb")
        except OSError as error:
            raise _not_writable(root, error) from error
        read_end, write_end = os.pipe()
        with log:
            # A session of its own: Ctrl-C reaches the command, which then ends the worker.
            self._process = subprocess.Popen(
                # -P: nothing that lies in the working directory is taken for a module.
                [sys.executable, "-P", "-m", "pipeline.worker", str(write_end)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write_end],
                start_new_session=True,
                env={
                    **os.environ,
                    "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"),
                    **({} if threads is None else dict.fromkeys(_THREAD_LIMITS, str(threads))),
                },
            )
        os.close(write_end)
        self._events: IO[str] = os.fdopen(read_end, encoding="utf-8")

    def follow(self, request: RunRequest) -> Iterator[Event]:
        """Hands over the request, and gives what the worker tells until it ends."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request.to_json().encode() + b"\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; its last words are in the pipe, or its exit code tells
        for line in self._events:
            yield EVENT.validate_json(line)

    def describe_exit(self) -> str:
        """How the worker ended."""
        code = self._process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """Ends the worker and whatever it started, if it still runs."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(_GRACE_S)
            except ProcessLookupError:
                self._process.wait()
                return
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def started_worker(root: str, threads: int | None = None) -> Iterator[Worker]:
    """A worker for one run below `run.root`, which no other run may use meanwhile.

    Args:
      root: the folder.
      threads: see `Worker`.

    Raises:
      StorageError: if the folder cannot be written.
      ConfigError: if another run uses it.
    """
    folder = Path(root)
    with locked(folder):
        worker = Worker(folder, threads)
        try:
            yield worker
        except VwwError as error:
            raise _with_log(error, worker.log_path) from error
        finally:
            worker.stop()


def _with_log(error: VwwError, log_path: Path) -> VwwError:
    """The same error, pointing to the log if it came out of the pipeline."""
    if isinstance(error, PipelineError | StorageError):
        hint = f"{error.hint}\n  log: {log_path}" if error.hint is not None else f"log: {log_path}"
        return type(error)(error.message, expected=error.expected, hint=hint)
    return error


@contextmanager
def locked(folder: Path, holder: str = "run") -> Iterator[None]:
    """Holds the lock of a folder that one run, or one sweep, writes at a time.

    Args:
      folder: made if it is not there.
      holder: what holds it, for the error.

    Raises:
      StorageError: if the folder cannot be written.
      ConfigError: if another one holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise _not_writable(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another {holder} is using {folder}",
                hint="wait for it, or write elsewhere with --set run.root=DIR",
            ) from error
        yield


def _not_writable(root: Path, error: OSError) -> StorageError:
    return StorageError(
        f"run.root={root} cannot be written: {error.filename or root}: {error.strerror}",
        expected="a folder that can be made and written",
        hint="--set run.root=DIR writes elsewhere",
    )


def utc_now() -> str:
    """The time, such as `2026-11-22T03:04:05Z`."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

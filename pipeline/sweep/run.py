"""Runs the points of a sweep: shared nodes once, then every point that has no result yet, several at a time."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from components import features
from components.errors import GateError, PipelineError, VwwError
from components.pusher.channels import Channel
from components.pusher.code_version import code_version
from components.pusher.outcome import Outcome
from components.pusher.stores import open_store
from pipeline.console import RunView
from pipeline.headline import Headline, headline
from pipeline.requests import RunRequest
from pipeline.run import Worker, run_nodes, run_request, started_worker, utc_now
from pipeline.sweep.plan import METADATA_FILE, PlannedPoint, copy_metadata, rooted
from pipeline.sweep.results import PointResult, read_result, refusing
from pipeline.sweep.view import PointView, SweepView

# Of pipeline.graph: what depends on the sections `data` and `transform` alone.
_SHARED_NODES = ("CocoExampleGen", "CuratedSchema", "Transform", "StatisticsGen")
_CORES_OF_A_TRAINING = 2

Answer = PointResult | VwwError


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def default_parallelism(cores: int) -> int:
    """How many points run at the same time unless the user says so."""
    return max(1, cores // _CORES_OF_A_TRAINING)


def run_points(
    planned: Sequence[PlannedPoint],
    folder: Path,
    *,
    parallel: int,
    first_metadata: Path,
    on_answer: Callable[[PlannedPoint, Answer], None],
) -> None:
    """Runs what has no result yet.

    Args:
      planned: all points.
      folder: of the sweep.
      parallel: how many points at the same time, at least 1.
      first_metadata: ML Metadata's database of earlier runs, whose examples are taken if they fit; may be missing.
      on_answer: told of every point's result, or of the error that it stopped with.

    Raises:
      VwwError: if the shared nodes stop.
    """
    waiting = []
    for one in planned:
        if (result := read_result(one.folder, one.key)) is None:
            waiting.append(one)
        else:
            on_answer(one, result)
    if not waiting:
        return
    _prepare_data(waiting, folder / "data", first_metadata)
    at_once = min(parallel, len(waiting))
    threads = None if at_once == 1 else max(1, available_cores() // at_once)
    with SweepView(len(planned), len(planned) - len(waiting)) as board:
        _Pool(threads, board).run(waiting, at_once, on_answer)


def _prepare_data(waiting: Sequence[PlannedPoint], root: Path, first_metadata: Path) -> None:
    """Runs the shared nodes once for all points that share them, and tells each point's ML Metadata of them."""
    groups: dict[str, list[PlannedPoint]] = {}
    for one in waiting:
        if not (one.folder / METADATA_FILE).exists():
            groups.setdefault(one.data_identity, []).append(one)
    if groups and first_metadata.exists() and not (root / METADATA_FILE).exists():
        copy_metadata(first_metadata, root / METADATA_FILE)
    for group in groups.values():
        first = group[0]
        with started_worker(str(root)) as worker, RunView() as view:
            config = rooted(first.point.config, root)
            request = _request(first, worker.run_id).model_copy(update={"config": config, "nodes": _SHARED_NODES})
            run_nodes(request, view, worker)
        for one in group:
            copy_metadata(root / METADATA_FILE, one.folder / METADATA_FILE)


def _request(planned: PlannedPoint, run_id: str) -> RunRequest:
    config = planned.config
    return RunRequest(
        config=config,
        run_id=run_id,
        dataset_fingerprint=planned.data.fingerprint,
        released_version=open_store(config.release_uri).channels(config.name).held(Channel.STAGING),
        code=code_version(),
        label_names=planned.data.label_names,
        started_utc=utc_now(),
        initial_weights_sha256=planned.initial_weights_sha256,
        measures_refused=True,
    )


class _Pool:
    """Threads that follow one worker process each.

    Args:
      threads: how many of its own TensorFlow may use in a worker.
      board: where progress goes.
    """

    def __init__(self, threads: int | None, board: SweepView) -> None:
        self._threads = threads
        self._board = board
        self._lock = Lock()
        self._workers: set[Worker] = set()
        self._is_stopped = False

    def run(
        self, waiting: Sequence[PlannedPoint], at_once: int, on_answer: Callable[[PlannedPoint, Answer], None]
    ) -> None:
        """Runs all points; on Ctrl-C, or any other exception here, their processes end with it."""
        with ThreadPoolExecutor(at_once) as pool:
            try:
                futures: dict[Future[PointResult], PlannedPoint] = {pool.submit(self._run_point, p): p for p in waiting}
                for future in as_completed(futures):
                    planned = futures[future]
                    answer = _answer(future)
                    self._board.end(planned.point.label, _describe(answer))
                    on_answer(planned, answer)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._stop()
                raise

    def _run_point(self, planned: PlannedPoint) -> PointResult:
        view = self._board.begin(planned.point.label)
        start = time.monotonic()
        with started_worker(str(planned.folder), self._threads) as worker, self._registered(worker):
            outcome, refusal = _run_to_verdict(planned, view, worker)
        result = PointResult(
            key=planned.key, outcome=outcome, refusal=refusal, seconds=round(time.monotonic() - start, 1)
        )
        result.write(planned.folder)
        return result

    @contextmanager
    def _registered(self, worker: Worker) -> Iterator[None]:
        with self._lock:
            if self._is_stopped:
                raise PipelineError("the sweep was interrupted")
            self._workers.add(worker)
        try:
            yield
        finally:
            with self._lock:
                self._workers.discard(worker)

    def _stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            running = list(self._workers)
        for worker in running:
            worker.stop()


def _run_to_verdict(planned: PlannedPoint, view: PointView, worker: Worker) -> tuple[Outcome | None, str | None]:
    """The outcome, or what a gate said that refused before there was one."""
    try:
        return run_request(_request(planned, worker.run_id), view, worker), None
    except GateError as error:
        return None, error.message
    finally:
        view.close()


def _answer(future: "Future[PointResult]") -> Answer:
    try:
        return future.result()
    except VwwError as error:
        return error


def _describe(answer: Answer) -> str:
    """One line on what became of a point."""
    if isinstance(answer, VwwError):
        return f"failed: {type(answer).__name__}: {answer.message}"
    if answer.outcome is None:
        return f"refused: {answer.refusal}"
    verdict, figures = answer.outcome.verdict, answer.outcome.figures
    int8 = None if figures is None else figures.int8_metrics.get(features.EVAL)
    quality = "not quantized" if int8 is None else _describe_quality(headline(int8))
    decided = "passed" if verdict.passed else f"refused by {', '.join(refusing(verdict))}"
    return f"{quality}, {decided}, {answer.seconds:.0f} s"


def _describe_quality(found: Headline) -> str:
    return f"int8 {found.name} {'undefined' if found.value is None else f'{found.value:.4f}'}"

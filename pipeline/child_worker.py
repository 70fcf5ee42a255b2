"""What a child process does for the command, and how it tells.

python -m pipeline.child_worker EVENTS_FD TASK        the request, as JSON, comes on standard input
"""

import logging
import sys
import tempfile
from collections.abc import Callable

from pydantic import TypeAdapter

from components import progress
from components.child_process import die_with_parent
from components.errors import PipelineError, StorageError, VwwError
from components.options import Options
from components.pusher.rebuilt import RebuildRequest
from components.trainer.budget import BudgetJob
from pipeline.child import Task
from pipeline.evaluation.report import EvaluationRequest, LayersRequest
from pipeline.events import Answered, Failed
from pipeline.kubeflow.requests import CompileRequest
from pipeline.prediction.records import PredictionRequest
from pipeline.report.preview import PreviewRequest
from pipeline.worker import Events, find_disk_refusal


def _augment_preview(request: str) -> Options:
    from pipeline.augment_preview import draw_preview

    return draw_preview(PreviewRequest.from_json(request))


def _budget(request: str) -> Options:
    from components.trainer.footprint import measure_budget  # takes about 10 s

    return measure_budget(BudgetJob.from_json(request))


def _compile(request: str) -> Options:
    from pipeline.kubeflow.compile import answer_request  # takes about 20 s

    return answer_request(CompileRequest.from_json(request))


def _evaluate(request: str) -> Options:
    from pipeline.evaluation.evaluate import evaluate

    return evaluate(EvaluationRequest.from_json(request))


def _layers(request: str) -> Options:
    from pipeline.evaluation.layers import compare_layers

    return compare_layers(LayersRequest.from_json(request))


def _predict(request: str) -> Options:
    from pipeline.prediction.predict import predict

    return predict(PredictionRequest.from_json(request))


def _rebuild(request: str) -> Options:
    from components.pusher.rebuild import rebuild_release

    return rebuild_release(RebuildRequest.from_json(request))


TASKS: dict[Task, Callable[[str], Options]] = {
    "augment_preview": _augment_preview,
    "budget": _budget,
    "compile": _compile,
    "evaluate": _evaluate,
    "layers": _layers,
    "predict": _predict,
    "rebuild": _rebuild,
}


def main() -> None:
    """Does the task, tells."""
    die_with_parent()
    events = Events(int(sys.argv[1]))
    progress.listen(events.report, events.say)
    task = TypeAdapter(Task).validate_python(sys.argv[2])
    try:
        events.send(Answered(answer=TASKS[task](sys.stdin.read()).to_json()))
    except VwwError as error:
        events.send(Failed(node=None, error=error.to_json()))
    except Exception as error:  # whatever it was, the command reports it
        logging.exception("%s stopped", task)
        events.send(Failed(node=None, error=_as_vww_error(error, task).to_json()))


def _as_vww_error(error: Exception, task: Task) -> VwwError:
    refusal = find_disk_refusal(error)
    if refusal is not None:
        return StorageError(
            f"{task} could not write: {refusal}",
            expected=f"room in {tempfile.gettempdir()}, and the right to write there",
            hint="make room, or name another folder in the environment variable TMPDIR",
        )
    return PipelineError(f"{task} stopped: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()

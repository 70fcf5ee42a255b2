"""Following a run, with a cluster that is heard only now and then."""

from datetime import UTC, datetime

import pytest

from pipeline.kubeflow.follow import follow
from pipeline.kubeflow.run_status import RunStatus, State, StepStatus
from pipeline.kubeflow.server import NoAnswerError


def run(state, *steps):
    return RunStatus(run_id="r", name="r", state=state, steps=steps)


def answers(*given):
    """Gives or raises one after the other, then the last for ever."""
    left = list(given)

    def read():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read


def test_follow_gives_up_on_a_cluster_that_stays_silent_for_longer_than_its_patience():
    told = []
    with pytest.raises(NoAnswerError, match="away"):
        follow(answers(run(State.RUNNING), NoAnswerError("away")), told.append, poll_s=0.01, patience_s=0.05)
    assert told == ["away; asking again"]  # once, however often it is asked


def test_follow_says_that_a_cluster_went_silent_each_time_it_does():
    silence = NoAnswerError("away")
    told = []
    read = answers(silence, run(State.RUNNING), silence, run(State.SUCCEEDED))
    assert follow(read, told.append, poll_s=0).state is State.SUCCEEDED
    assert told == ["away; asking again"] * 2


def test_follow_tells_a_step_that_is_tried_again_each_time_it_changes():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    failed = StepStatus("Trainer", State.FAILED, at, at.replace(minute=1), error="killed")
    told = []
    read = answers(
        run(State.RUNNING, failed),
        run(State.RUNNING, StepStatus("Trainer", State.RUNNING, at)),
        run(State.SUCCEEDED, StepStatus("Trainer", State.SUCCEEDED, at, at.replace(minute=2))),
    )
    follow(read, told.append, poll_s=0)
    assert [" ".join(line.split()) for line in told] == [
        "Trainer failed 60 s killed",
        "Trainer running",
        "Trainer succeeded 120 s",
    ]

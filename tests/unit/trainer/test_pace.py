import pytest

from components.trainer import pace
from components.trainer.pace import MEASURED_STEPS, WARM_UP_STEPS, Pace, describe_duration


def test_pace_leaves_the_first_steps_and_what_is_between_steps_out(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: clock[0])
    measured = Pace(batch_size=32)
    known = []
    for step in range(WARM_UP_STEPS + MEASURED_STEPS + 2):
        with measured.step():
            clock[0] += 10.0 if step < WARM_UP_STEPS else 0.1
        known.append(measured.is_known)
        clock[0] += 5.0  # an evaluation
        assert (measured.images_per_second is None) == (step < WARM_UP_STEPS)
    assert measured.images_per_second == pytest.approx(320)
    assert known.count(True) == 1
    assert known[WARM_UP_STEPS + MEASURED_STEPS - 1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min 00 s"),
        (750, "12 min 30 s"),
        (11_100, "3 h 05 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_describe_duration(seconds, text):
    assert describe_duration(seconds) == text

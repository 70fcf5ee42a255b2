import errno
import itertools
import os

import pytest

from components.errors import DataError, PipelineError, StorageError
from pipeline.events import EVENT, Failed, Finished, NodeFinished, NodeProgress, NodeStarted, Ready
from pipeline.worker import _as_vww_error


def chained(*errors):
    """The last error, raised from the one before it, and so on, as TFX's launcher and Beam wrap them."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


def test_as_vww_error_of_a_person_is_found_below_its_wrappers():
    mine = DataError("bad set", hint="mend it")
    assert _as_vww_error(chained(mine, ValueError("in Beam"), RuntimeError("in TFX")), ["CocoExampleGen"]) is mine


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("RESOURCE_EXHAUSTED: /run/x; No space left on device"),
        RuntimeError("Error when executing query: database or disk is full query:  INSERT INTO `Type`"),
        chained(OSError(errno.ENOSPC, "?"), RuntimeError("in TFX")),
    ],
)
def test_as_vww_error_full_disk_names_the_node(error):
    found = _as_vww_error(error, ["CuratedSchema", "Trainer"])
    assert isinstance(found, StorageError)
    assert found.message == "Trainer could not write: no space left on device"
    assert "make room" in found.hint


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EROFS, os.strerror(errno.EROFS)), RuntimeError("query: attempt to write a readonly database")],
)
def test_as_vww_error_read_only_disk_is_a_storage_error(error):
    found = _as_vww_error(error, ["Trainer"])
    assert isinstance(found, StorageError)
    assert found.message == "Trainer could not write: read-only file system"


def test_as_vww_error_of_anything_else_names_node_class_and_last_words():
    found = _as_vww_error(RuntimeError("a long story\n\nand its end  \n"), ["Evaluator"])
    assert isinstance(found, PipelineError)
    assert found.message == "Evaluator stopped: RuntimeError: and its end"
    assert "the log has the whole story" in found.hint


def test_as_vww_error_without_words_and_before_any_node_says_so():
    assert _as_vww_error(KeyError(), []).message == "the import of TFX stopped: KeyError: KeyError"


@pytest.mark.parametrize(
    "event",
    [
        Ready(),
        NodeStarted(node="Trainer", index=7, total=9),
        NodeProgress(done=3, total=12, unit="steps", detail="loss 0.5"),
        NodeFinished(node="Trainer", cached=True, seconds=0.5),
        Finished(outcome_path="/r/outcome.json"),
        Failed(node=None, error=DataError("x", expected="y").to_json()),
    ],
)
def test_event_sent_as_a_line_is_received_as_it_was(event):
    assert "\n" not in event.to_json()
    assert EVENT.validate_json(event.to_json()) == event

import errno
import os
import tempfile

from components.errors import PipelineError, StorageError
from pipeline.child_worker import _as_vww_error


def test_as_vww_error_full_disk_says_which_folder_it_is_and_how_to_take_another():
    found = _as_vww_error(RuntimeError(f"SaveV2: {os.strerror(errno.ENOSPC)} [Op:SaveV2]"), "budget")
    assert isinstance(found, StorageError)
    assert found.message == "budget could not write: no space left on device"
    assert tempfile.gettempdir() in found.expected
    assert "TMPDIR" in found.hint


def test_as_vww_error_of_anything_else_names_task_and_class():
    found = _as_vww_error(KeyError("x"), "predict")
    assert isinstance(found, PipelineError)
    assert found.message == "predict stopped: KeyError: 'x'"

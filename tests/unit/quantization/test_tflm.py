import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from components import pixels
from components.errors import ModelError, PipelineError, StorageError
from components.quantization.compare import compare_outputs
from components.quantization.records import ArenaShare
from components.quantization.reference import run_reference
from components.quantization.tflm import _signal_name, run_under_tflm

LIMIT_S = 60


def _children(pid):
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


@pytest.mark.parametrize(
    ("name", "arena"),
    [("person_detect", (85_264, 55_296, 29_968)), ("vww_96_int8", (103_680, 73_728, 29_952))],
)
def test_run_under_tflm_without_images_reports_the_arena(shared_model, name, arena):
    run = run_under_tflm(shared_model(name), None, time_limit_s=LIMIT_S)
    assert run.failure is None
    assert run.outputs is None
    assert (run.arena.total_bytes, run.arena.head_bytes, run.arena.tail_bytes) == arena


def test_run_under_tflm_agrees_with_the_reference_interpreter(shared_model):
    images = np.random.default_rng(0).integers(-128, 128, (40, 96, 96, 3)).astype(np.int8)
    seen = []
    run = run_under_tflm(
        shared_model("vww_96_int8"),
        images,
        time_limit_s=LIMIT_S,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert run.failure is None
    assert compare_outputs(run.outputs, run_reference(shared_model("vww_96_int8"), images)).max_difference_lsb <= 1
    assert seen == sorted(seen)
    assert seen[-1] == (40, 40)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_run_under_tflm_takes_every_input_dtype(reshape_model, dtype):
    images = np.arange(12).reshape(3, 4).astype(dtype)
    run = run_under_tflm(reshape_model(dtype.upper()).build(), images, time_limit_s=LIMIT_S)
    assert run.failure is None
    assert run.outputs[0].dtype == images.dtype
    np.testing.assert_array_equal(run.outputs, (images,))


def test_run_under_tflm_unknown_operator_fails_in_the_interpreters_words(reshape_model):
    spec = reshape_model()
    spec.operators[0].name = "HASHTABLE_SIZE"
    run = run_under_tflm(spec.build(), np.zeros((1, 4), np.int8), time_limit_s=LIMIT_S)
    assert (run.outputs, run.arena) == (None, None)
    assert "Didn't find op for builtin opcode 'HASHTABLE_SIZE'" in run.failure
    assert "RecordingMicroAllocator" not in run.failure


@pytest.mark.parametrize(("scale", "failure"), [(1.4e-8, "SIGABRT: the interpreter gave no reason"), (1.6e-8, None)])
def test_run_under_tflm_abort_is_a_failure_that_names_the_signal(reshape_model, scale, failure):
    # SOFTMAX calls abort() on an input scale below 2**-26, which is what an untrained model has.
    from ai_edge_litert import schema_py_generated as schema

    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    spec = reshape_model()
    spec.operators[0].name, spec.operators[0].inputs, spec.operators[0].options = "SOFTMAX", [0], options
    spec.tensors[0].scale = scale
    spec.tensors[2].scale, spec.tensors[2].zero_point = 1 / 256, -128
    assert run_under_tflm(spec.build(), np.zeros((1, 4), np.int8), time_limit_s=LIMIT_S).failure == failure


@pytest.mark.parametrize("processes", [1, 2])
def test_run_under_tflm_several_outputs_come_in_the_models_order(detector, detector_rasters, monkeypatch, processes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processes)))
    codes = np.tile(pixels.quantize(detector_rasters), (10, 1, 1, 1))
    run = run_under_tflm(detector("per_map"), codes, time_limit_s=LIMIT_S)
    assert run.failure is None
    assert [(output.shape, output.dtype) for output in run.outputs] == [
        ((len(codes), anchors, columns), np.int8) for anchors in (48, 12) for columns in (4, 2)
    ]
    assert compare_outputs(run.outputs, run_reference(detector("per_map"), codes)).max_difference_lsb <= 1


def test_run_under_tflm_model_without_outputs_is_not_fed(reshape_model):
    with pytest.raises(ModelError, match="outputs=0"):
        run_under_tflm(reshape_model(outputs=[]).build(), np.zeros((1, 4), np.int8), time_limit_s=LIMIT_S)


def test_run_under_tflm_damaged_flatbuffer_starts_no_child(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a child was started"))
    with pytest.raises(ModelError, match="not a TensorFlow Lite flatbuffer"):
        run_under_tflm(b"", None, time_limit_s=LIMIT_S)


def test_run_under_tflm_arena_shares_are_those_of_the_tail(shared_model):
    arena = run_under_tflm(shared_model("person_detect"), None, time_limit_s=LIMIT_S).arena
    by_name = {share.name: share for share in arena.shares}
    assert by_name["TfLiteEvalTensor data"] == ArenaShare(
        name="TfLiteEvalTensor data", used_bytes=2136, requested_bytes=2136, count=89
    )
    assert by_name["NodeAndRegistration struct"].count == 31
    assert 0 < arena.tail_bytes - sum(share.used_bytes for share in arena.shares) < 2_000


def test_run_under_tflm_beyond_the_hosts_arena_fails_in_the_interpreters_words(reshape_model):
    spec = reshape_model()
    spec.tensors[0].shape = spec.tensors[2].shape = (1, 1 << 29)
    spec.tensors[1].data = np.array([1, 1 << 29], "<i4").tobytes()
    run = run_under_tflm(spec.build(), None, time_limit_s=LIMIT_S)
    assert "Failed to" in run.failure
    assert "AllocateTensors" in run.failure or "allocat" in run.failure


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_run_under_tflm_many_images_are_shared_and_answered_in_order(reshape_model, monkeypatch, processes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processes)))
    images = np.random.default_rng(0).integers(-128, 128, (301, 4)).astype(np.int8)
    seen = []
    run = run_under_tflm(
        reshape_model().build(), images, time_limit_s=LIMIT_S, on_progress=lambda *pair: seen.append(pair)
    )
    np.testing.assert_array_equal(run.outputs, (images,))
    assert seen[-1] == (301, 301)


def test_run_under_tflm_time_limit_kills_the_children(reshape_model):
    others = _children(os.getpid())  # of earlier tests
    start = time.monotonic()
    run = run_under_tflm(reshape_model().build(), np.zeros((500, 4), np.int8), time_limit_s=0.05)  # not even started
    assert time.monotonic() - start < 10
    assert run.failure == "no answer within 0.05 s"
    assert run.outputs is None
    assert _children(os.getpid()) == others


def test_run_under_tflm_is_hung_once_no_image_is_finished_any_more(shared_model):
    stopped = []
    others = _children(os.getpid())

    def stop(done, total):
        if done > 5 and not stopped:
            stopped.extend(set(_children(os.getpid())) - set(others))
            for child in stopped:
                os.kill(child, signal.SIGSTOP)

    images = np.zeros((5_000, 96, 96, 1), np.int8)
    run = run_under_tflm(shared_model("person_detect"), images, time_limit_s=10, on_progress=stop)
    assert stopped
    assert run.failure == "no answer within 10 s"


def test_run_under_tflm_interrupted_kills_the_child(shared_model):
    def interrupt(done, total):
        raise KeyboardInterrupt

    others = _children(os.getpid())
    with pytest.raises(KeyboardInterrupt):
        run_under_tflm(
            shared_model("person_detect"),
            np.zeros((5_000, 96, 96, 1), np.int8),
            time_limit_s=LIMIT_S,
            on_progress=interrupt,
        )
    assert _children(os.getpid()) == others


def test_run_under_tflm_leaves_no_file(reshape_model, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_under_tflm(reshape_model().build(), np.zeros((2, 4), np.int8), time_limit_s=LIMIT_S).failure is None
    assert list(tmp_path.iterdir()) == []


def test_run_under_tflm_killed_parent_takes_the_child_along(shared_model, tmp_path):
    shared_model("person_detect")  # skips where it is not there
    program = tmp_path / "parent.py"
    program.write_text(
        "import numpy as np, pathlib, sys\n"
        "from components.quantization.tflm import run_under_tflm\n"
        "model, images = pathlib.Path(sys.argv[1]).read_bytes(), np.zeros((5000, 96, 96, 1), np.int8)\n"
        "run_under_tflm(model, images, time_limit_s=60, on_progress=lambda done, total: print(done, flush=True))\n"
    )
    root = Path(__file__).parents[3]
    model = root.parent / "shared" / "models" / "person_detect.tflite"
    parent = subprocess.Popen(
        [sys.executable, program, model],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(tmp_path)},
    )
    try:
        while int(parent.stdout.readline()) == 0:
            pass
        children = _children(parent.pid)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + 10
    while any(map(_is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert children
    assert not any(map(_is_running, children))
    assert list(tmp_path.iterdir()) == [program]


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_run_under_tflm_without_interpreter_is_a_model_error(reshape_model, tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'tflite_micro'\" >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(ModelError, match="could not be run: ModuleNotFoundError") as caught:
        run_under_tflm(reshape_model().build(), None, time_limit_s=LIMIT_S)
    assert "make setup" in caught.value.hint


def _open_full_disk():
    return Path("/dev/full").open("w+b", buffering=0)


def test_run_under_tflm_full_disk_is_a_storage_error(reshape_model, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", _open_full_disk)
    with pytest.raises(StorageError, match="No space left") as caught:
        run_under_tflm(reshape_model().build(), None, time_limit_s=LIMIT_S)
    assert "TMPDIR" in caught.value.hint


def test_run_under_tflm_disk_that_is_full_for_the_answers_is_a_storage_error(reshape_model, monkeypatch):
    # Model, images, outputs: the third file is the one that the child writes its answers to.
    real, opened = tempfile.TemporaryFile, []

    def open_file():
        opened.append(None)
        return _open_full_disk() if len(opened) == 3 else real()

    monkeypatch.setattr(tempfile, "TemporaryFile", open_file)
    with pytest.raises(StorageError, match="No space left"):
        run_under_tflm(reshape_model().build(), np.zeros((2, 4), np.int8), time_limit_s=LIMIT_S)


def test_run_under_tflm_child_that_another_kills_is_no_verdict_on_the_model(reshape_model):
    others = set(_children(os.getpid()))

    def kill(done, total):
        for child in set(_children(os.getpid())) - others:
            os.kill(child, signal.SIGKILL)

    with pytest.raises(PipelineError, match=r"was killed \(SIGKILL\)") as caught:
        run_under_tflm(reshape_model().build(), np.zeros((500, 4), np.int8), time_limit_s=LIMIT_S, on_progress=kill)
    assert "out of memory" in caught.value.hint


def test_run_under_tflm_child_without_memory_is_no_verdict_on_the_model(reshape_model, tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'Unable to allocate 9 GiB' >&2\nexit 5\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(PipelineError, match="has no memory: Unable to allocate 9 GiB"):
        run_under_tflm(reshape_model().build(), None, time_limit_s=LIMIT_S)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGABRT, "SIGABRT"), (40, "signal 40")])
def test_signal_name_of_known_and_unknown_signals(number, name):
    assert _signal_name(number) == name

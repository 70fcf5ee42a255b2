"""A compiled pipeline, executed with no cluster, beside the local run of the same config and data."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.pusher.channels import Channel
from components.pusher.stores import open_store
from pipeline.kubeflow.emulator.launcher import launch, prepare
from pipeline.kubeflow.emulator.processes import WarmProcesses
from pipeline.kubeflow.emulator.store import ObjectStore
from pipeline.kubeflow.invariants import check_spec

STEPS = [
    "BudgetGate", "CocoExampleGen", "CuratedSchema", "ReleasedModel", "Transform", "StatisticsGen", "ExampleValidator",
    "Trainer", "Evaluator", "MicroPusher",
]  # fmt: skip
# Steps that are killed, and what is there when they are half way.
KILLED = {
    "CocoExampleGen": "emulated/runs/*/*-CocoExampleGen/attempt-1/minio/artifacts/runs/tiny/*/*/*/examples",
    "Trainer": "work/checkpoints/**/checkpoint.npz",
}
# What tells of the run itself: its times, its paths, its name.
OF_THE_RUN = re.compile(
    r"MODEL_CARD\.md|manifest\.json|provenance\.(json|intoto\.jsonl)|config\.yaml|outcome\.json|eval_config\.json"
    r"|(metrics|plots|attributions)-.*|(saved_model|fingerprint)\.pb"
    r"|transformed_examples-.*\.gz|events\.out\.tfevents"
)


def cluster_settings(folder, volume):
    """What turns the config of a local run into one for a cluster whose one volume is a folder of this machine."""
    steps = {"volumes": [{"claim": "disk", "path": str(volume)}], "cpu": 2, "memory": "4Gi", "retries": {"count": 1}}
    kubeflow = {
        "pipeline_root": "minio://artifacts/runs",
        "image": "example.org/vww:1",
        "work_dir": str(folder / "work"),
        "all_steps": steps,
    }
    return ["--set", f"kubeflow={json.dumps(kubeflow)}", "--set", f"release.uri={folder / 'releases'}"]


@pytest.fixture(scope="module")
def compiled(released, vww, tmp_path_factory):
    """The pipeline of the released run's config, in a folder of its own."""
    folder = tmp_path_factory.mktemp("cluster")
    settings = cluster_settings(folder, tmp_path_factory.getbasetemp())
    command = ["compile", released.config_file, "--target", "kubeflow", "-o", folder / "pipeline.yaml", *settings]
    code, _, stderr = vww(*command, "--set", "trainer.checkpoint_interval_steps=2")
    assert code == 0, stderr
    return folder / "pipeline.yaml"


def is_there(folder, pattern):
    try:
        return any(folder.glob(pattern))
    except FileNotFoundError:  # a folder that the step took away meanwhile
        return False


def kill_half_way(command, folder, step, sign):
    """Kills the process of a step, in its first attempt, once its sign is there."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert command.process.poll() is None, command.stderr
        if is_there(folder, sign):
            for process in command.processes():
                cwd = os.readlink(f"/proc/{process}/cwd")  # noqa: PTH115
                if cwd.endswith(f"-{step}/attempt-1/work"):
                    os.kill(process, signal.SIGKILL)
                    return
        time.sleep(0.01)
    pytest.fail(f"{step} was not seen half way")


class EmulatedRun:
    """What `vww emulate` did, and where it left it."""

    def __init__(self, folder, stdout, stderr):
        self.folder, self.stdout, self.stderr = folder, stdout, stderr
        (self.runs,) = (folder / "emulated" / "runs").iterdir()
        self.store = ObjectStore(folder / "emulated" / "store")
        (self._artifacts,) = (folder / "emulated/store/minio/artifacts/runs/tiny").iterdir()

    def output(self, step, key):
        (execution,) = (self._artifacts / step).iterdir()
        return execution / key

    @property
    def release(self):
        return next(path for path in (self.folder / "releases" / "tiny").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def emulated(compiled, start_vww):
    """The pipeline, two of whose steps were killed half way and tried again."""
    folder = compiled.parent
    command = start_vww("emulate", compiled, "--root", folder / "emulated", "--set", "epochs=2")
    for step, sign in KILLED.items():
        kill_half_way(command, folder, step, sign)
    assert command.wait() == 0, command.stderr
    return EmulatedRun(folder, command.stdout, command.stderr)


def files_of(folder):
    """Content of every file by its path; event files are named for a time and a process."""
    return {
        re.sub(r"tfevents\..*", "tfevents", str(path.relative_to(folder))): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def same_but_for_the_run(one, other):
    assert one.keys() == other.keys()
    differing = {path for path in one if one[path] != other[path]}
    assert [path for path in differing if OF_THE_RUN.fullmatch(Path(path).name) is None] == []


def test_emulated_run_ends_with_a_release_of_the_local_runs_bytes(emulated, released):
    same_but_for_the_run(files_of(emulated.release), files_of(released.release))
    flatbuffer = "tiny_person_micro.tflite"
    assert (emulated.release / flatbuffer).read_bytes() == (released.release / flatbuffer).read_bytes()
    assert f"Released: {emulated.release}\n" in emulated.stdout


@pytest.mark.parametrize(
    ("step", "keys"),
    [
        ("BudgetGate", ["footprint"]),
        ("CocoExampleGen", ["examples"]),
        ("CuratedSchema", ["raw", "statistics"]),
        ("ReleasedModel", ["model", "statistics"]),
        ("Transform", ["transform_graph", "transformed_examples"]),
        ("StatisticsGen", ["statistics"]),
        ("ExampleValidator", ["anomalies"]),
        ("Trainer", ["model", "model_run"]),
        ("Evaluator", ["evaluation", "blessing"]),
        ("MicroPusher", ["pushed_model"]),
    ],
)
def test_emulated_step_leaves_the_files_of_the_local_one(emulated, released, step, keys):
    for key in keys:
        same_but_for_the_run(files_of(emulated.output(step, key)), files_of(released.output(step, key)))


def test_emulated_run_tells_its_steps_their_attempts_and_what_they_asked_for(emulated):
    rows = re.findall(r"^(\w+) +[\d.]+ s +[\d,]+ MB +(\d) +memory 4Gi, cpu 2 *$", emulated.stdout, re.MULTILINE)
    assert rows == [(step, "2" if step in KILLED else "1") for step in STEPS]
    for step in KILLED:
        assert f"{step}: attempt 1 of 2 ended (signal SIGKILL); once more" in emulated.stderr


def test_emulated_run_keeps_logs_and_inputs_but_no_copies_of_finished_steps(emulated):
    trainer = emulated.runs / "08-Trainer"
    assert sorted(path.name for path in trainer.iterdir()) == [
        "attempt-1", "attempt-1.log", "attempt-2.log", "executor_input.json", "pod.json",
    ]  # fmt: skip
    assert json.loads((trainer / "pod.json").read_text())["image"] == "example.org/vww:1"


# The command, on pipelines that import nothing of TFX.


def write_pusher_pipeline(folder, outcome, first=""):
    """A pipeline of one step, which puts out an outcome as the MicroPusher does, once `first` is done."""
    script = (
        f"import json, pathlib, sys, time\n{first}\n"
        "outputs = json.loads(sys.argv[1])['outputs']\n"
        "uri = outputs['artifacts']['pushed_model']['artifacts'][0]['uri']\n"
        "folder = pathlib.Path(outputs['outputFile']).parents[2] / uri.replace('://', '/')\n"
        "folder.mkdir(parents=True)\n"
        "(folder / 'outcome.json').write_text(sys.argv[2])\n"
    )
    output = {"artifactType": {"instanceSchema": "title: tfx.PushedModel\ntype: object\n"}}
    container = {"image": "vww:1", "command": ["python", "-c", script, "{{$}}", outcome]}
    spec = {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "tiny"},
        "components": {
            "MicroPusher": {
                "executorLabel": "MicroPusher_executor",
                "outputDefinitions": {"artifacts": {"pushed_model": output}},
            }
        },
        "deploymentSpec": {"executors": {"MicroPusher_executor": {"container": container}}},
        "root": {
            "dag": {
                "tasks": {
                    "MicroPusher": {"componentRef": {"name": "MicroPusher"}, "taskInfo": {"name": "MicroPusher"}},
                }
            }
        },
    }
    (folder / "pusher.yaml").write_text(yaml.safe_dump(spec))
    return folder / "pusher.yaml"


def test_emulate_of_a_refused_model_exits_3_and_names_the_gate(released, vww, tmp_path):
    outcome = json.loads((released.output("MicroPusher", "pushed_model") / "outcome.json").read_text())
    outcome["publication"] = None
    gate = next(gate for gate in outcome["verdict"]["gates"] if gate["name"] == "gates.int8.min_accuracy")
    gate["limit"] = 0.999
    pipeline = write_pusher_pipeline(tmp_path, json.dumps(outcome))
    code, stdout, stderr = vww("emulate", pipeline, "--root", tmp_path / "root", "--fresh")
    assert code == 3, stderr
    assert "Refused: nothing was released.\n  gates.int8.min_accuracy: " in stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such.yaml"], "ConfigError: cannot read the pipeline no-such.yaml"),
        (["pusher.yaml", "--set", "epochs"], "ConfigError: --set epochs has no value"),
        (["pusher.yaml", "--set", "epochs=3"], "ConfigError: this pipeline has no parameter 'epochs'"),
    ],
)
def test_emulate_told_what_it_cannot_do_exits_2_with_no_step_run(vww, tmp_path, arguments, message):
    pipeline = write_pusher_pipeline(tmp_path, "")
    arguments = [pipeline if argument == "pusher.yaml" else argument for argument in arguments]
    code, stdout, stderr = vww("emulate", *arguments, "--root", tmp_path / "root")
    assert (code, stdout) == (2, "")
    assert message in stderr
    assert not (tmp_path / "root").exists()


def test_emulate_told_no_folder_writes_nothing(vww, tmp_path):
    code, _, stderr = vww("emulate", write_pusher_pipeline(tmp_path, ""), "--root", "")
    assert (code, "received --root ''" in stderr) == (2, True)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted; nothing half-written is visible\n"), (signal.SIGKILL, -9, "")],
)
def test_emulate_ended_by_a_signal_leaves_no_step_running(start_vww, wait_until, tmp_path, number, code, said):
    begun = tmp_path / "begun"
    pipeline = write_pusher_pipeline(tmp_path, "", f"pathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)")
    command = start_vww("emulate", pipeline, "--root", tmp_path / "root", "--fresh")
    wait_until(begun.exists, 60)
    command.process.send_signal(number)
    assert command.wait(60) == code
    assert command.stderr.endswith(said)
    wait_until(lambda: not command.processes(), 10)


# By night: on damaged inputs, as a cluster does it, and as kfp does it.


@pytest.fixture(scope="module")
def run_damaged(emulated, compiled, tmp_path_factory):
    """Runs a step of that run once more, on inputs of which one was damaged; returns its log's last line."""
    spec = check_spec(compiled.read_text())
    folder = tmp_path_factory.mktemp("damaged")

    def run(step, key, damage):
        component = spec.pipeline.components[step]
        given = json_format.Parse(
            next(emulated.runs.glob(f"*-{step}/executor_input.json")).read_text(), pipeline_spec_pb2.ExecutorInput()
        )
        store = ObjectStore(folder / step / "store")
        for listed in given.inputs.artifacts.values():
            uri = listed.artifacts[0].uri
            shutil.copytree(emulated.store.path(uri), store.path(uri), dirs_exist_ok=True)
        uri = given.inputs.artifacts[key].artifacts[0].uri
        damage(store.path(uri))
        container = spec.deployment.executors[component.executor_label].container
        running = prepare(step, container, component, given, folder / step / "root")
        assert launch(running, store, processes, folder / f"{step}.log").code == 1
        return uri, (folder / f"{step}.log").read_text().splitlines()[-1]

    with WarmProcesses(folder / "warm.log") as processes:
        yield run


def cut_in_half(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


@pytest.mark.usefixtures("nightly")
def test_emulated_trainer_on_examples_cut_in_half_names_them(run_damaged):
    name = "Split-train/transformed_examples-00000-of-00001.gz"
    uri, last = run_damaged("Trainer", "examples", lambda folder: cut_in_half(folder / name))
    problem = f"input examples: {uri} is damaged: {name} cannot be read as TFRecords; expected: "
    assert last.startswith(f"Trainer: DataError: {problem}")


@pytest.mark.usefixtures("nightly")
def test_emulated_pusher_of_a_model_that_cannot_be_read_fails_and_judges_nothing(run_damaged):
    name = "Format-Serving/saved_model.pb"
    uri, last = run_damaged("MicroPusher", "model", lambda folder: cut_in_half(folder / name))
    problem = f"input model: {uri} is damaged: {name} cannot be read as a SavedModel"
    assert last.startswith(f"MicroPusher: DataError: {problem}")


@pytest.mark.usefixtures("nightly")
def test_emulated_run_of_a_process_for_each_step_ends_with_the_same_release(
    compiled, released, start_vww, tmp_path
):  # fmt: skip
    command = start_vww("emulate", compiled, "--root", tmp_path / "emulated", "--fresh")
    assert command.wait(850) == 0, command.stderr
    release = Path(re.search(r"^Released: (\S+)", command.stdout, re.MULTILINE)[1])
    same_but_for_the_run(files_of(release), files_of(released.release))


@pytest.mark.usefixtures("nightly")
def test_kfp_local_runs_every_step_of_the_compiled_pipeline(compiled, released, tmp_path, monkeypatch):
    from kfp import components, local
    from kfp.local import status, subprocess_task_handler

    from pipeline.kubeflow.emulator.processes import FreshProcesses

    ran = []

    class ContainerCommand:
        """In the place of kfp's own, which only runs Python functions."""

        def __init__(self, image, full_command, pipeline_root, runner):
            self._command = full_command

        def run(self):
            ran.append(self._command[self._command.index("--step") + 1])
            log = tmp_path / f"{ran[-1]}.log"
            ended = FreshProcesses().run(self._command, env={}, cwd=tmp_path, log=log)
            assert ended.code == 0, log.read_text()[-3000:]
            return status.Status.SUCCESS

    monkeypatch.setattr(subprocess_task_handler, "SubprocessTaskHandler", ContainerCommand)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "outputs"))
    (text,) = [each for each in compiled.read_text().split("\n---\n") if "pipelineInfo" in each]
    components.load_component_from_text(text)()
    assert sorted(ran) == sorted(STEPS)  # it skips tasks with a condition, and calls that a success
    releases = compiled.parent / "releases"
    version = open_store(str(releases)).channels("tiny").held(Channel.STAGING)
    same_but_for_the_run(files_of(releases / "tiny" / version), files_of(released.release))

"""Executes a compiled pipeline with no cluster, as the driver and the launcher of Kubeflow Pipelines would.

Every step runs in an empty folder and is given what the two would give it: artifacts without types, metadata as the
metadata store returns it, files and no empty folders. What differs from a cluster: paths like `/gcs/…` lie below the
step's folder, steps run one after the other, nothing is cached, and limits of resources are computed but not enforced.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from google.protobuf import json_format

from components.errors import ConfigError, GateError, PipelineError, StorageError, VwwError
from components.pusher.outcome import OUTCOME_FILE, Outcome
from pipeline.console import RunView
from pipeline.kubeflow.emulator.driver import RunFacts, executor_input, root_parameters
from pipeline.kubeflow.emulator.launcher import launch, prepare, take_outputs
from pipeline.kubeflow.emulator.metadata import RecordedArtifacts
from pipeline.kubeflow.emulator.pod import pod_of
from pipeline.kubeflow.emulator.processes import Ended, FreshProcesses, Processes, WarmProcesses
from pipeline.kubeflow.emulator.records import Emulation, StepRecord
from pipeline.kubeflow.emulator.store import ObjectStore
from pipeline.kubeflow.invariants import CheckedSpec, check_spec
from pipeline.kubeflow.run_status import PUSHER
from pipeline.kubeflow.run_values import READER, check_run_values
from pipeline.kubeflow.submission import check_pipeline_root
from pipeline.kubeflow.wiring import producers

_DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"  # of a plain installation of Kubeflow Pipelines
_LINES_OF_LOG = 3
_LINE_LENGTH = 1000


def emulate(
    text: str,
    *,
    root: Path,
    parameters: Mapping[str, str],
    processes: Literal["fork", "fresh"] | Processes,
    view: RunView,
    where: str = "the pipeline",
) -> Emulation:
    """Runs every step of a compiled pipeline.

    Args:
      text: the pipeline, as `vww compile` wrote it.
      root: keeps the object store and a folder for each run.
      parameters: of the run, by name.
      processes: `fork` shares the imports of TFX among the steps, `fresh` starts each as a cluster does.
      view: where progress goes.
      where: the pipeline was read from.

    Raises:
      ConfigError: if the pipeline or a parameter cannot be used.
      GateError: if a gate refuses before anything is trained.
      PipelineError: if a step fails in all its attempts.
    """
    spec = check_spec(text, where)
    _check_covered(spec, where)
    check_pipeline_root(
        spec.pipeline.default_pipeline_root or _DEFAULT_ROOT, "kubeflow", f"{where}: defaultPipelineRoot is"
    )
    _check_mounts(spec)
    values = root_parameters(spec.pipeline, parameters)
    given = {name: json_format.MessageToDict(value) for name, value in values.items() if value.WhichOneof("kind")}
    check_run_values(given, spec.mounts(READER), "kubeflow", "--set")
    run = _Run(spec, values, root, view)
    with _started(processes, run.folder) as started:
        return run.execute(started)


class _Run:
    """One run of a pipeline."""

    def __init__(self, spec: CheckedSpec, parameters: Mapping[str, Any], root: Path, view: RunView) -> None:
        self._spec, self._parameters, self._view = spec, parameters, view
        self._facts = _run_facts(spec)
        self._store = ObjectStore(root / "store")
        self._artifacts = RecordedArtifacts()
        self.folder = root.absolute() / "runs" / self._facts.run_id
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"--root {root} cannot be written: {error.strerror}") from error

    def execute(self, processes: Processes) -> Emulation:
        tasks = _in_order(self._spec.pipeline.root.dag.tasks)
        steps = []
        for index, task in enumerate(tasks, start=1):
            self._view.start(f"[{index:>{len(str(len(tasks)))}}/{len(tasks)}] {task:<16}")
            step = self._run_step(task, self.folder / f"{index:02}-{task}", processes)
            self._view.finish(f"{step.seconds:.1f} s")
            steps.append(step)
        artifacts: dict[str, dict[str, Path]] = {}
        for (task, key), uri in self._artifacts.uris().items():
            artifacts.setdefault(task, {})[key] = self._store.path(uri)
        return Emulation(self._facts.run_id, self.folder, tuple(steps), artifacts, _read_outcome(artifacts))

    def _run_step(self, name: str, folder: Path, processes: Processes) -> StepRecord:
        pipeline, deployment = self._spec.pipeline, self._spec.deployment
        task = pipeline.root.dag.tasks[name]
        component = pipeline.components[task.component_ref.name]
        container = deployment.executors[component.executor_label].container
        given = executor_input(task, component, self._parameters, self._artifacts, self._facts)
        pod = pod_of(name, container, self._spec.pods.get(component.executor_label), given)
        folder.mkdir()
        (folder / "pod.json").write_text(json.dumps(pod, indent=2) + "\n")
        (folder / "executor_input.json").write_text(json_format.MessageToJson(given) + "\n")
        attempts = 1 + task.retry_policy.max_retry_count
        for attempt in range(1, attempts + 1):
            log = folder / f"attempt-{attempt}.log"
            running = prepare(name, container, component, given, folder / f"attempt-{attempt}")
            ended = launch(running, self._store, processes, log)
            if ended.code == 0:
                take_outputs(running, self._store, self._artifacts)
                return StepRecord(name, ended.seconds, ended.peak_memory_bytes, attempt, pod)
            if attempt < attempts:
                self._view.say(f"{name}: attempt {attempt} of {attempts} ended ({ended.describe()}); once more")
        raise _failure(name, ended, attempts, log)


def _read_outcome(artifacts: Mapping[str, Mapping[str, Path]]) -> Outcome | None:
    if PUSHER not in artifacts:
        return None
    return Outcome.from_json((artifacts[PUSHER]["pushed_model"] / OUTCOME_FILE).read_text(encoding="utf-8"))


def _failure(task: str, ended: Ended, attempts: int, log: Path) -> VwwError:
    """What a step's end comes to; its entry point's last line says which error it was, if it came to say it."""
    lines = [line[:_LINE_LENGTH] for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    said = [last] if last.startswith(f"{task}: ") else lines[-_LINES_OF_LOG:]
    times = "" if attempts == 1 else f" in the last of {attempts} attempts"
    error = GateError if last.startswith(f"{task}: {GateError.__name__}: ") else PipelineError
    return error(
        f"the step {task} failed{times} ({ended.describe()})"
        + (":" + "".join(f"\n  | {line}" for line in said) if said else ", without a word"),
        hint=f"log: {log}\n  what it was given: {log.with_suffix('')}",
    )


def _run_facts(spec: CheckedSpec) -> RunFacts:
    run_id, name = str(uuid.uuid4()), spec.pipeline.pipeline_info.name
    created_utc = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    root = (spec.pipeline.default_pipeline_root or _DEFAULT_ROOT).rstrip("/")
    return RunFacts(
        run_id=run_id,
        name=f"{name}-{run_id[:5]}",
        display_name=f"{name} {created_utc}",
        created_utc=created_utc,
        root=f"{root}/{name}/{run_id}",
    )


def _check_covered(spec: CheckedSpec, where: str) -> None:
    """Refuses what KFP would run and this does not."""
    if spec.job is not None:
        raise ConfigError(
            f"{where} is compiled for Vertex AI", hint="vww compile CONFIG --target kubeflow -o FILE.yaml"
        )
    for name, task in spec.pipeline.root.dag.tasks.items():
        component = spec.pipeline.components[task.component_ref.name]
        if component.HasField("dag") or not spec.deployment.executors[component.executor_label].HasField("container"):
            raise _not_covered(where, name, "is no container")
        if task.HasField("trigger_policy") or task.WhichOneof("iterator") is not None:
            raise _not_covered(where, name, "runs on a condition or in a loop")
        if component.output_definitions.parameters:
            raise _not_covered(where, name, "puts out a parameter")


def _check_mounts(spec: CheckedSpec) -> None:
    """What a cluster would mount has to be on this machine, at the same path."""
    for executor, settings in sorted(spec.pods.items()):
        for mount in (*settings.pvc_mount, *settings.secret_as_volume):
            if not Path(mount.mount_path).is_dir():
                raise ConfigError(
                    f"{executor.removesuffix('_executor')} has a volume at {mount.mount_path}, which is no folder here",
                    expected="on this machine, a folder there that holds what the volume holds",
                    hint="make it, or let it be a link to where the files are",
                )


def _not_covered(where: str, task: str, what: str) -> ConfigError:
    return ConfigError(f"{where}: the task {task} {what}, which is not emulated", hint="only a cluster can run it")


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Names of the tasks, each after those that it waits for; `check_spec` has found no circle."""
    waiting = {name: {*task.dependent_tasks, *producers(task)} for name, task in sorted(tasks.items())}
    order: list[str] = []
    while waiting:
        order.append(next(name for name, upstream in waiting.items() if upstream <= {*order}))
        del waiting[order[-1]]
    return order


@contextmanager
def _started(processes: Literal["fork", "fresh"] | Processes, folder: Path) -> Iterator[Processes]:
    if processes == "fork":
        warm: AbstractContextManager[Processes] = WarmProcesses(folder / "warm.log")
        with warm as started:
            yield started
    elif processes == "fresh":
        yield FreshProcesses()
    else:
        yield processes

"""The entry point of every step's container, on Kubeflow Pipelines and on Vertex AI.

    python -m components.kubeflow.step [--step NAME] --executor_class_path CLASS
        --json_serialized_invocation_args JSON --json_serialized_inputs_spec_args JSON [BEAM ARGUMENT ...]

TFX writes these arguments into the compiled pipeline for its own entry point, which open-source Kubeflow Pipelines
gives inputs that it cannot take; this one makes them so (`components.kubeflow.invocation`), and then is TFX's. On
Vertex AI, which TFX's was written for, it sets what a run sets anew, and stands aside where an executor works through
Beam, whose workers need a bucket's URI; the others open files themselves, and are shown the mounted bucket.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from components import progress
from components.errors import ConfigError, ModelError, PipelineError, VwwError, causes
from components.kubeflow.arguments import parse_inputs_spec, parse_invocation
from components.kubeflow.inputs import Input, check_complete, find_damage, staged_inputs
from components.kubeflow.invocation import prepare, publish
from components.kubeflow.settings import apply_settings
from components.kubeflow.staging import Staging, container_root, is_staged

_PROGRESS_INTERVAL_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Runs one step; returns the exit code of its container.

    A person's error is one line on stderr; the traceback of any other stands above it.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    args, beam_args = _parse(arguments)
    if not os.environ.get("HOME"):  # what TFX imports asks for it, and a uid of an image without its name has none
        os.environ["HOME"] = tempfile.gettempdir()
    progress.listen(_occasionally(logging.info), logging.info)
    try:
        _run(args, beam_args)
    except Exception as error:  # noqa: BLE001  # whatever it was, the log's last line tells which step it stopped
        sys.stderr.write(f"{args.step or args.executor_class_path}: {_one_line(_as_vww_error(error))}\n")
        return 1
    return 0


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="python -m components.kubeflow.step", allow_abbrev=False)
    parser.add_argument("--step", help="name of the step, for errors")
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    return parser.parse_known_args(arguments)


def _run(args: argparse.Namespace, beam_args: list[str]) -> None:
    invocation = parse_invocation(args.json_serialized_invocation_args)
    inputs_spec = parse_inputs_spec(args.json_serialized_inputs_spec_args)
    inputs = invocation.setdefault("inputs", {})
    inputs["parameterValues"] = apply_settings(inputs.get("parameterValues", {}), _whole_numbers(inputs_spec))
    output_file = invocation["outputs"]["outputFile"]
    if not is_staged(output_file) and works_through_beam(args.executor_class_path):
        _execute(args, invocation, beam_args)
        return
    prepared, staging = prepare(invocation, inputs_spec, container_root(output_file))
    given = staged_inputs(prepared, staging)
    check_complete(given)
    try:
        _execute(args, prepared, beam_args)
    except Exception as error:
        _blame_inputs(error, given)
        raise
    _publish(output_file, staging)


def _blame_inputs(error: Exception, given: Sequence[Input]) -> None:
    """Raises the DataError of a damaged input, if that is why an executor failed."""
    ours = next((cause for cause in causes(error) if isinstance(cause, VwwError)), None)
    if ours is not None and not isinstance(ours, ModelError):
        return
    damage = find_damage(given)
    if damage is not None:
        _log_traceback(error)
        raise damage from error


def works_through_beam(executor_class_path: str) -> bool:
    """Whether an executor hands its files to Beam."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.utils.import_utils import import_class_by_path

    return issubclass(import_class_by_path(executor_class_path), BaseBeamExecutor)


def _publish(output_file: str, staging: Staging) -> None:
    from tfx.dsl.io import fileio  # as TFX wrote it, be it in a bucket

    with fileio.open(output_file, "r") as file:
        written = json.loads(file.read())
    with fileio.open(output_file, "w") as file:
        file.write(json.dumps(publish(written, staging)))


def _execute(args: argparse.Namespace, invocation: dict[str, Any], beam_args: list[str]) -> None:
    # Takes 20 s, which a missing input should not have to wait for.
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    serialized = argparse.Namespace(
        executor_class_path=args.executor_class_path,
        json_serialized_invocation_args=json.dumps(invocation),
        json_serialized_inputs_spec_args=args.json_serialized_inputs_spec_args,
    )
    kubeflow_v2_run_executor.main((serialized, beam_args))


def _whole_numbers(inputs_spec: dict[str, Any]) -> frozenset[str]:
    definitions = inputs_spec.get("parameters", {}).items()
    return frozenset(name for name, definition in definitions if definition["parameterType"] == "NUMBER_INTEGER")


def _as_vww_error(error: Exception) -> VwwError:
    """The same, where it is a person's to mend; otherwise its last words, and the traceback goes to the log."""
    for cause in causes(error):
        if isinstance(cause, VwwError):
            return cause
        if isinstance(cause, ValidationError):
            problem = cause.errors()[0]
            path = ".".join(map(str, problem["loc"]))
            return ConfigError(
                f"{cause.title}: {path}: {problem['msg']}; received {problem['input']!r}",
                hint="a parameter of the run set it; docs/configuration.md says what it may be",
            )
    _log_traceback(error)
    return PipelineError(f"{type(error).__name__}: {error}"[:1000], hint="the log above has the whole story")


def _log_traceback(error: Exception) -> None:
    logging.error("the step stopped", exc_info=error)


def _one_line(error: VwwError) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines())


def _occasionally(tell: Callable[..., None]) -> progress.OnReport:
    """Tells of progress, but not more than twice a minute."""
    last = [time.monotonic()]

    def report(done: int, total: int, unit: str, detail: str) -> None:
        if time.monotonic() - last[0] >= _PROGRESS_INTERVAL_S:
            last[0] = time.monotonic()
            tell("%s of %s %s%s", f"{done:,}", f"{total:,}", unit, f", {detail}" if detail else "")

    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A process that has imported TFX, and becomes `python -m MODULE` in a forked child as often as it is asked to.

    python -m pipeline.kubeflow.emulator.warm        requests on stdin, answers on stdout, as lines of JSON

The imports are all that is shared: no operation of TensorFlow runs before the fork, for its threads would be lost.
"""

import json
import os
import runpy
import sys
import time
import traceback
from typing import Any

from components.child_process import die_with_parent


def main() -> None:
    """Imports, then serves until standard input ends."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever prints, prints into the log
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor  # noqa: F401

    from pipeline import graph  # noqa: F401

    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")


def _run(request: dict[str, Any]) -> dict[str, Any]:
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(_become(request))
    _, status, used = os.wait4(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - begun,
        "peak_memory_bytes": used.ru_maxrss * 1024,
    }


def _become(request: dict[str, Any]) -> int:
    """Runs the module in this process, and gives its exit code."""
    code = 0
    try:
        die_with_parent()
        _redirect(request["log"])
        os.chdir(request["cwd"])
        os.environ.update(request["env"])
        module, *arguments = request["arguments"]
        sys.argv = ["-m", *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)


if __name__ == "__main__":
    main()

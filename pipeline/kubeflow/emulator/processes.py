"""The processes that take the place of containers: a fresh one for each step, or one forked from a warm one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from components.child_process import die_with_parent
from components.errors import PipelineError


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
      code: exit code; the negated number of the signal that ended it.
      seconds: how long it ran.
      peak_memory_bytes: the most that it, or one of those that it started and waited for, held at a time.
    """

    code: int
    seconds: float
    peak_memory_bytes: int

    def describe(self) -> str:
        """For a person."""
        return f"exit code {self.code}" if self.code >= 0 else f"signal {signal.Signals(-self.code).name}"


class Processes(Protocol):
    """Runs commands."""

    def run(self, command: list[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Ended:
        """Runs one to its end.

        Args:
          command: program and arguments; the program `python` is the one that runs this.
          env: on top of this process's own environment.
          cwd: where it runs.
          log: takes its stdout and stderr.

        Raises:
          PipelineError: if it cannot be started.
        """
        ...


class FreshProcesses:
    """Starts a process for each, as a cluster would."""

    def run(self, command: list[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Ended:
        """See `Processes`."""
        begun = time.monotonic()
        # As in an image, `python` is the interpreter that has the package.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        with log.open("ab") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=cwd,
                    env={**os.environ, "PATH": path, **env},
                    start_new_session=True,
                    preexec_fn=die_with_parent,  # noqa: PLW1509  # one system call, which waits for no thread
                )
            except OSError as error:
                raise PipelineError(f"cannot start {command[0]!r}: {error.strerror}") from error
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(process.returncode, time.monotonic() - begun, used.ru_maxrss * 1024)


class WarmProcesses(AbstractContextManager["WarmProcesses"]):
    """Forks one process for each from one that has imported TFX, which saves 20 seconds of each.

    Commands that are not `python -m MODULE` are started afresh. A forked process sees the environment of this one as
    it was when that was started.

    Args:
      log: takes what the warm process has to say.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._fresh = FreshProcesses()
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.kubeflow.emulator.warm"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                start_new_session=True,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            with suppress(BrokenPipeError):
                _opened(stream).close()

    def run(self, command: list[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Ended:
        """See `Processes`."""
        if command[:2] != ["python", "-m"]:
            return self._fresh.run(command, env=env, cwd=cwd, log=log)
        request = {"arguments": command[2:], "env": dict(env), "cwd": str(cwd), "log": str(log)}
        answer = ""
        with suppress(BrokenPipeError):
            server_in = _opened(self._server.stdin)
            server_in.write(json.dumps(request) + "\n")
            server_in.flush()
            answer = _opened(self._server.stdout).readline()
        if not answer:
            raise PipelineError("the process that steps are forked from has ended", hint=f"log: {self._log}")
        return Ended(**json.loads(answer))


def _opened(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream

"""A process that has imported TFX once, and becomes `pipeline.worker` in a forked child as often as it is asked to.

    python warm_server.py SOCKET_FD FOLDER

What a child runs is the worker's own `main`; shared are the 20 seconds of imports, and in FOLDER what the BudgetGate
of an earlier child measured of the same model. A request on the socket is
one JSON object:

    {"stop": null | [NODE, POINT]} and three descriptors (standard input, log, events)    answered with the child's id
    {"wait": ID}                                                                          answered with its exit code

A `stop` kills the child at one of the points of a node that timing could not hit: "outputs made", when its output
folders are there and empty; "work done", when they are full and ML Metadata does not know it yet; and "report N", when
it tells that N of its units are finished.
"""

import hashlib
import json
import os
import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    server = socket.socket(fileno=int(sys.argv[1]))
    from pipeline import graph, local, worker  # noqa: F401

    share_measurements(Path(sys.argv[2]))
    server.sendall(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, 1 << 16, 3)
        if not message:
            return
        request = json.loads(message)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                server.close()
                become_worker(*descriptors, stop=request["stop"])
            for descriptor in descriptors:
                os.close(descriptor)
        server.sendall(str(answer).encode())


def become_worker(standard_input: int, log: int, events: int, stop: list[str] | None) -> None:
    from pipeline import worker

    os.setsid()
    for descriptor, target in ((standard_input, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    sys.argv = ["pipeline.worker", str(events)]
    if stop is not None:
        die_at(*stop)
    code = 0
    try:
        worker.main()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def share_measurements(folder: Path) -> None:
    from components.trainer import budget_gate
    from components.trainer.budget import Budget

    measure = budget_gate.measure_budget

    def measure_once(job):
        file = folder / f"{hashlib.sha256(job.to_json().encode()).hexdigest()}.json"
        if not file.exists():
            file.write_text(measure(job).to_json())
        return Budget.from_json(file.read_text())

    budget_gate.measure_budget = measure_once


def die_at(node: str, point: str) -> None:
    if point == "outputs made":
        die_when_outputs_are_made(node)
    elif point == "work done":
        die_when_work_is_done(node)
    else:
        die_at_report(node, int(point.removeprefix("report ")))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_when_outputs_are_made(node: str) -> None:
    from tfx.orchestration.portable import launcher

    make_output_dirs = launcher.outputs_utils.make_output_dirs

    def make_and_die(output_dict):
        make_output_dirs(output_dict)
        if any(f"/{node}/" in artifact.uri for artifacts in output_dict.values() for artifact in artifacts):
            die()

    launcher.outputs_utils.make_output_dirs = make_and_die


def die_when_work_is_done(node: str) -> None:
    from tfx.orchestration.portable import launcher

    publish = launcher.Launcher._publish_successful_execution

    def die_or_publish(self, *arguments):
        if self._pipeline_node.node_info.id == node:
            die()
        publish(self, *arguments)

    launcher.Launcher._publish_successful_execution = die_or_publish


def die_at_report(node: str, number: int) -> None:
    from tfx.orchestration.portable import launcher

    from components import progress

    running: list[str] = []
    launch = launcher.Launcher.launch

    def note_and_launch(self):
        running.append(self._pipeline_node.node_info.id)
        return launch(self)

    def die_or_go_on(done, total, unit, detail):
        if running[-1] == node and done == number:
            die()

    launcher.Launcher.launch = note_and_launch
    progress.listen(die_or_go_on)


if __name__ == "__main__":
    main()

"""The installed command, a warm worker for the runs that are about nodes and not about the command, and a small set."""

import json
import os
import secrets
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from components.pusher.channels import Channel
from components.pusher.provenance.keys import generate_key
from components.pusher.stores import open_store
from components.sample_data.writer import write_sample_data
from pipeline import run as pipeline_run
from pipeline.config import read_config
from pipeline.console import RunView

NODES = (
    "BudgetGate", "CuratedSchema", "ReleasedModel", "CocoExampleGen", "Transform", "StatisticsGen", "ExampleValidator",
    "Trainer", "Evaluator", "MicroPusher",
)  # fmt: skip
VWW = Path(sys.executable).with_name("vww")
SIDE = 32
IMAGES = 120
# Enough epochs to run, not to learn; the gates ask nothing unless a test says so.
CONFIG = {
    "name": "tiny",
    "run": {"root": "", "seed": 3},
    "data": {"annotations": "", "images": "", "splits": {"train": 0.7, "eval": 0.3}},
    "transform": {"side": SIDE, "channels": 1},
    "trainer": {
        "backbone": "mobilenet_v1",
        "alpha": 0.25,
        "optimizer": {"name": "adam"},
        "learning_rate": 0.003,
        "schedule": {"name": "cosine"},
        "batch_size": 16,
        "epochs": 2,
    },
    "gates": {
        "on": "point",
        "float": {"min_accuracy": 0.0, "max_accuracy_drop": 1.0},
        "int8": {"min_accuracy": 0.0, "max_accuracy_drop": 1.0},
    },
    "release": {"c_name": "tiny_person", "calibration_images": 40},
}
# Marks the processes of one command and of all that it starts, so that an orphan is found wherever it hides.
MARK = "VWW_TEST_RUN"


class Command:
    """One started `vww`, and every process that it starts."""

    def __init__(self, arguments, folder):
        self.mark = secrets.token_hex(8)
        self.stderr_path = folder / f"{self.mark}.stderr"
        self.stdout_path = folder / f"{self.mark}.stdout"
        # A working directory is not a place to import from.
        for name in ("pipeline.py", "components.py", "random.py"):
            (folder / name).write_text("raise AssertionError('imported from the working directory')\n")
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [VWW, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, MARK: self.mark, "NO_COLOR": "1"},
                cwd=folder,
                start_new_session=True,
            )

    @property
    def stdout(self):
        return self.stdout_path.read_text()

    @property
    def stderr(self):
        return self.stderr_path.read_text()

    def wait(self, limit_s=400):
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.end()
            raise

    def wait_for_line(self, start, limit_s=300):
        """Until a line of stderr starts so."""
        wait_until(
            lambda: any(line.startswith(start) for line in self.stderr.splitlines()) or self.process.poll() is not None,
            limit_s,
        )
        assert self.process.poll() is None, self.stderr

    def processes(self):
        """Ids of all living processes that came from this command, itself included."""
        needle = f"{MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX" and needle in (folder / "environ").read_bytes().split(b"\0"):
                        found.append(int(folder.name))
                except OSError:
                    continue  # it has ended meanwhile
        return found

    def worker(self):
        """Id of its worker process."""
        workers = [p for p in self.processes() if b"pipeline.worker" in Path(f"/proc/{p}/cmdline").read_bytes()]
        assert len(workers) == 1, workers
        return workers[0]

    def end(self):
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        self.process.wait()


def wait_until(is_so, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.02)


@pytest.fixture(name="wait_until", scope="session")
def wait_until_fixture():
    return wait_until


@pytest.fixture(scope="session")
def nodes():
    return NODES


@pytest.fixture(scope="session")
def start_vww(tmp_path_factory):
    """Starts the installed command; whatever of it still runs at the end of the session is ended."""
    if not VWW.exists():
        pytest.skip(f"{VWW} is not installed")
    started = []

    def start(*arguments):
        started.append(Command(arguments, tmp_path_factory.mktemp("command")))
        return started[-1]

    yield start
    for command in started:
        command.end()


@pytest.fixture(scope="session")
def vww(start_vww):
    """Runs the installed command to its end: (exit code, stdout, stderr)."""

    def run(*arguments):
        command = start_vww(*arguments)
        code = command.wait()
        assert "Traceback" not in command.stdout + command.stderr, command.stderr
        return code, command.stdout, command.stderr

    return run


class WarmWorker(pipeline_run.Worker):
    """The command's side of a worker that a warm server forks."""

    server = None  # set by `warm_run`
    stop_point = None

    def __init__(self, root):
        self.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.log_path = root / "logs" / f"{self.run_id}.log"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        events_read, events_write = os.pipe()
        input_read, input_write = os.pipe()
        with self.log_path.open("wb") as log:
            self._process = self.server.fork([input_read, log.fileno(), events_write], input_write, self.stop_point)
        os.close(events_write)
        os.close(input_read)
        self._events = os.fdopen(events_read, encoding="utf-8")

    @property
    def pid(self):
        return self._process.pid


class _Forked:
    """As much of `subprocess.Popen` as `Worker` uses, for a child of the warm server."""

    def __init__(self, server, pid, stdin):
        self.pid = pid
        self.stdin = os.fdopen(stdin, "wb")
        self._server = server
        self._descriptor = os.pidfd_open(pid)
        self._code = None

    def wait(self, timeout=None):
        if self._code is None:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a warm worker", timeout)
            self._code = self._server.ask({"wait": self.pid})
            os.close(self._descriptor)
        return self._code


class WarmServer:
    def __init__(self, folder):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(True)  # whatever default timeout a library has set here
        self._socket = ours
        self._log = (folder / "warm.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("warm_server.py"), str(theirs.fileno()), folder],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        theirs.close()
        self._ready = False

    def _receive(self):
        answer = self._socket.recv(100)
        assert answer, Path(self._log.name).read_text()
        return answer

    def ask(self, request, descriptors=()):
        if not self._ready:
            self._receive()
            self._ready = True
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
        return int(self._receive())

    def fork(self, descriptors, stdin, stop_point):
        return _Forked(self, self.ask({"stop": stop_point}, descriptors), stdin)

    def close(self):
        self._socket.close()
        self._process.wait(30)
        self._log.close()


class Watcher(RunView):
    """Keeps the events of a run, and lets a test act on one."""

    def __init__(self, on_event):
        super().__init__()
        self.events = []
        self._on_event = on_event

    def say(self, text):
        pass

    def show(self, event):
        self.events.append(event)
        self._on_event(event)
        super().show(event)


@pytest.fixture(scope="session")
def warm_server(tmp_path_factory):
    """Starts to import at once, so that it is done when the first test needs it."""
    server = WarmServer(tmp_path_factory.mktemp("warm"))
    yield server
    server.close()


class FinishedRun:
    """What a warm run came to.

    Attributes:
      outcome: the MicroPusher's; None if it was stopped on purpose.
      ran, reused: names of the nodes that finished.
      started: name of the last node that was started.
    """

    def __init__(self, outcome, nodes, events):
        finished = [event for event in events if event.kind == "node_finished"]
        self.outcome = outcome
        self.ran = [event.node for event in finished if not event.cached]
        self.reused = [event.node for event in finished if event.cached]
        self.started = ([event.node for event in events if event.kind == "node_started"] or [None])[-1]


@pytest.fixture(scope="session")
def warm_workers(warm_server):
    """A context in which every worker that the command's code starts is a warm one; gives those that were started."""

    @contextmanager
    def patched(stop=None):
        class Worker(WarmWorker):
            server, stop_point = warm_server, stop

        started = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline_run, "Worker", lambda root, threads: started.append(Worker(root)) or started[-1])
            yield started

    return patched


@pytest.fixture(scope="session")
def warm_run(warm_workers):
    """Runs a config as `vww run` does, with its lock, preflight, worker and errors, in a forked warm worker.

    `stop=(node, point)` kills it from within; `on_event(event, worker)` is called for every event.
    Gives a `FinishedRun`; the errors of the run rise.
    """

    def run(config, *, stop=None, on_event=None, until=None):
        class Enough(Exception):  # noqa: N818
            pass

        def react(event):
            if on_event is not None:
                on_event(event, workers[-1])
            if event.kind == "node_finished" and event.node == until:
                raise Enough

        view = Watcher(react)
        outcome = None
        with warm_workers(stop) as workers:
            try:
                with pipeline_run.started_worker(config.run.root) as worker, view:
                    outcome = pipeline_run.run_pipeline(config, view, worker)
            except Enough:
                pass
        return FinishedRun(outcome, NODES, view.events)

    return run


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory):
    """A drawn COCO set of 120 images, of which about a third evaluate; not to be changed."""
    folder = tmp_path_factory.mktemp("sample") / "set"
    write_sample_data(folder, images=IMAGES, seed=1, workers=2)
    return folder


@pytest.fixture(scope="session")
def write_config():
    """Writes a tiny run's config file for a data set and a root; gives its path."""

    def write(folder, data, root):
        tree = json.loads(json.dumps(CONFIG))
        tree["run"]["root"] = str(root)
        tree["data"] |= {"annotations": str(data / "instances.json"), "images": str(data / "images")}
        path = folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def tiny_config(write_config, tmp_path_factory):
    """The typed config of a tiny run for a data set and a root, with `--set` overrides."""

    def make(data, root, *overrides):
        return read_config(str(write_config(tmp_path_factory.mktemp("config"), data, root)), overrides)

    return make


class Store:
    """ML Metadata's SQLite file, read without ML Metadata."""

    STATES = {1: "new", 2: "running", 3: "complete", 4: "failed", 5: "cached", 6: "canceled"}  # noqa: RUF012
    LIVE = 2

    def __init__(self, root):
        self._root = Path(root)

    def _rows(self, query):
        connection = sqlite3.connect(f"file:{self._root}/metadata.sqlite?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def executions(self):
        """State of every execution by its id."""
        return {
            number: self.STATES[state] for number, state in self._rows("SELECT id, last_known_state FROM Execution")
        }

    def artifacts(self):
        """Folders of all live artifacts."""
        return [Path(uri) for (uri,) in self._rows(f"SELECT uri FROM Artifact WHERE state = {self.LIVE}")]

    def output_folders(self):
        """The folders of outputs on the disk, `<node>/<key>/<execution id>`, by execution id."""
        found = {}
        for folder in self._root.glob("artifacts/*/*/*"):
            if not folder.parent.name.startswith("."):
                found.setdefault(int(folder.name), []).append(folder)
        return found

    def check_nothing_half_written(self):
        """Every execution has ended, and the folders of outputs are those of the live artifacts."""
        states = self.executions()
        assert set(states.values()) <= {"complete", "cached", "failed"}, states
        folders = {folder for found in self.output_folders().values() for folder in found}
        assert folders == set(self.artifacts())
        assert all(any(folder.iterdir()) for folder in folders)


@pytest.fixture(scope="session")
def metadata_of():
    return Store


class ReleasedRun:
    """The first run of the session, by the installed command, and what it wrote."""

    def __init__(self, config_file, data, code, stdout, stderr):
        self.config_file, self.data = config_file, data
        self.code, self.stdout, self.stderr = code, stdout, stderr
        self.config = read_config(str(config_file))
        self.root = Path(self.config.run.root)
        self.uri = self.root / "releases"

    @property
    def release(self):
        return self.uri / "tiny" / open_store(str(self.uri)).channels("tiny").held(Channel.STAGING)

    @property
    def manifest(self):
        return json.loads((self.release / "manifest.json").read_text())

    def output(self, node, key):
        """An artifact that this run wrote; tests that ran before may have added runs in the same root."""
        return self.outputs(node, key)[0]

    def outputs(self, node, key):
        """A node's artifacts of all runs in the root, oldest first."""
        return sorted((self.root / "artifacts" / node / key).iterdir(), key=lambda folder: int(folder.name))


@pytest.fixture(scope="session")
def released(vww, sample_set, write_config, tmp_path_factory):
    """`vww run` on the sample set, with a key to sign: a finished run with a release in it."""
    folder = tmp_path_factory.mktemp("released")
    key = tmp_path_factory.mktemp("keys") / "release.key"
    generate_key(key)
    config_file = write_config(folder, sample_set, folder / "run")
    tree = yaml.safe_load(config_file.read_text())
    tree["release"] |= {"signing_key": str(key), "trusted_keys": [f"{key}.pub"]}
    tree["data"]["licenses"] = ["drawn for these tests"]
    config_file.write_text(yaml.safe_dump(tree, sort_keys=False))
    code, stdout, stderr = vww("run", config_file)
    assert code == 0, stderr
    return ReleasedRun(config_file, sample_set, code, stdout, stderr)

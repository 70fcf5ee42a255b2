"""Killed at any moment, then run again: nothing half-written is seen, nothing is lost, nothing is left running."""

import os
import re
import signal

import pytest

from components.errors import PipelineError
from components.pusher.channels import Channel
from components.pusher.stores import open_store

# Nodes that tell how far they are, so that they can be killed half way.
REPORTING = ("CocoExampleGen", "Trainer", "MicroPusher")


# In each node, one after the other in the same folder: every run picks up what the killed ones before it finished.


@pytest.fixture(scope="module")
def battered(sample_set, tiny_config, tmp_path_factory):
    """The config of a run that is killed again and again."""
    return tiny_config(sample_set, tmp_path_factory.mktemp("battered") / "run")


def kill_half_way(node):
    """Kills the worker at the node's first report of progress."""
    running = []

    def on_event(event, worker):
        if event.kind == "node_started":
            running.append(event.node)
        elif event.kind == "node_progress" and running[-1] == node:
            os.kill(worker.pid, signal.SIGKILL)

    return on_event


@pytest.mark.parametrize(
    ("node", "point"),
    [
        (node, point)
        for node in (
            "BudgetGate", "CuratedSchema", "ReleasedModel", "CocoExampleGen", "Transform", "StatisticsGen",
            "ExampleValidator", "Trainer", "Evaluator", "MicroPusher",
        )
        for point in ("outputs made", "half way", "work done")
        if point != "half way" or node in REPORTING
    ],
)  # fmt: skip
def test_worker_killed_in_a_node_reports_it_and_shows_no_release(
    battered, warm_run, metadata_of, nodes, node, point
):  # fmt: skip
    before = nodes[: nodes.index(node)]
    how = {"on_event": kill_half_way(node)} if point == "half way" else {"stop": (node, point)}
    events = []
    watch = how.pop("on_event", lambda event, worker: None)

    def on_event(event, worker):
        events.append(event)
        watch(event, worker)

    with pytest.raises(PipelineError, match=r"ended without a word \(signal SIGKILL\)") as caught:
        warm_run(battered, on_event=on_event, **how)
    log = caught.value.hint.rpartition("log: ")[2]
    assert os.path.exists(log)  # noqa: PTH110
    started = [event.node for event in events if event.kind == "node_started"]
    assert tuple(started) == (*before, node)

    # What earlier runs finished was not run again, but for the nodes that the baseline or the run decides.
    states = metadata_of(battered.run.root).executions()
    assert states[max(states)] == "running"
    store = open_store(battered.release_uri)
    if (node, point) == ("MicroPusher", "work done"):
        # The release is whole before ML Metadata knows of it.
        (release,) = store.list_releases()
        assert store.channels("tiny").held(Channel.STAGING) == release.version
        assert store.verify(release.model, release.version) == []
    else:
        assert store.list_releases() == ()


def test_run_after_all_the_kills_finishes_with_the_one_release(battered, warm_run, metadata_of, vww, nodes):
    run = warm_run(battered)
    assert run.outcome.publication is not None
    assert tuple(sorted([*run.ran, *run.reused], key=nodes.index)) == nodes
    store = open_store(battered.release_uri)
    (release,) = store.list_releases()
    assert store.channels("tiny").held(Channel.STAGING) == release.version
    code, stdout, _ = vww("releases", "verify", "tiny", "--uri", battered.release_uri)
    assert code == 0
    assert "files as the manifest says" in stdout
    metadata_of(battered.run.root).check_nothing_half_written()


# The command itself.


@pytest.fixture(scope="module")
def interrupted(sample_set, write_config, tmp_path_factory):
    """The config file of runs whose command is ended."""
    folder = tmp_path_factory.mktemp("interrupted")
    return write_config(folder, sample_set, folder / "run")


def test_command_interrupted_exits_130_without_a_trace_or_an_orphan(interrupted, start_vww, wait_until):
    command = start_vww("run", interrupted)
    command.wait_for_line("[ 1/10]")
    command.process.send_signal(signal.SIGINT)
    assert command.wait(60) == 130
    assert "interrupted; nothing half-written is visible; finished nodes are not run again" in command.stderr
    assert "Traceback" not in command.stderr
    assert command.stdout == ""
    wait_until(lambda: not command.processes(), 10)
    assert not (interrupted.parent / "run" / "releases").exists()


def test_command_interrupted_while_importing_exits_130_at_once(interrupted, start_vww, wait_until):
    command = start_vww("run", interrupted)
    command.wait_for_line("data ")
    command.process.send_signal(signal.SIGINT)
    assert command.wait(30) == 130
    assert "Traceback" not in command.stderr
    wait_until(lambda: not command.processes(), 10)


def test_command_killed_takes_its_worker_with_it(interrupted, start_vww, wait_until):
    command = start_vww("run", interrupted)
    command.wait_for_line("[ 4/10]")
    assert len(command.processes()) >= 2
    command.process.kill()
    assert command.wait(30) == -signal.SIGKILL
    wait_until(lambda: not command.processes(), 10)
    assert not (interrupted.parent / "run" / "releases").exists()


def test_command_whose_worker_is_killed_says_so_and_names_the_log(interrupted, start_vww, wait_until):
    command = start_vww("run", interrupted)
    command.wait_for_line("TFX ")
    os.kill(command.worker(), signal.SIGKILL)
    assert command.wait(60) == 1
    message = command.stderr[command.stderr.index("PipelineError") :]
    assert "the pipeline's process ended without a word (signal SIGKILL)" in message
    (log,) = re.findall(r"log: (\S+)", message)
    assert os.path.exists(log)  # noqa: PTH110
    assert "Traceback" not in command.stderr
    wait_until(lambda: not command.processes(), 10)


def test_run_after_the_commands_were_ended_finishes(interrupted, warm_run, metadata_of):
    from pipeline.config import read_config

    config = read_config(str(interrupted))
    run = warm_run(config, until="StatisticsGen")
    # The killed runs had got that far; only what they were in the middle of is run.
    assert run.reused[:2] == ["BudgetGate", "CuratedSchema"]
    states = metadata_of(config.run.root).executions()
    running = [number for number, state in states.items() if state == "running"]
    assert len(running) <= 1  # that of this run, which was stopped here
    folders = metadata_of(config.run.root).output_folders()
    failed = [number for number, state in states.items() if state == "failed"]
    assert not set(failed) & set(folders)

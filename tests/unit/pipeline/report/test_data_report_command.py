"""`vww data report` as a person meets it."""

import json
import signal
import subprocess
import sys

import pytest

from pipeline.cli import main

HEAVY = ("tensorflow", "tfx", "apache_beam", "keras", "tensorflow_model_analysis", "google.cloud.storage")
PROBE = f"""
import sys
from pipeline.cli import main
sys.argv = ["vww", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.fixture
def command(config_of, sample_set, tmp_path, monkeypatch, capfd):
    """Runs `vww data report` on the drawn set; gives exit code, stdout and stderr."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    arguments = [
        *("data", "report", str(config_of.path), "--set", f"run.root={tmp_path / 'run'}"),
        *(
            "--set",
            f"data.annotations={sample_set / 'instances.json'}",
            "--set",
            f"data.images={sample_set / 'images'}",
        ),
    ]

    def run(*more):
        monkeypatch.setattr(sys, "argv", ["vww", *arguments, *map(str, more)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return (code, *capfd.readouterr())

    run.arguments = arguments
    yield run
    signal.signal(signal.SIGINT, on_interrupt)


def test_command_that_is_to_write_over_a_folder_is_refused_before_the_set_is_read(command, tmp_path):
    code, stdout, stderr = command("-o", tmp_path, "--set", "data.annotations=none.json")
    assert (code, stdout) == (1, "")
    assert stderr.startswith(f"StorageError: {tmp_path} cannot be written: it is a folder")


def test_command_prints_tables_and_the_page_it_wrote(command, tmp_path):
    code, stdout, stderr = command()
    page = tmp_path / "run" / "data-report.html"
    assert code == 0
    assert stdout.splitlines()[-1] == str(page)
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "not-person" in stdout
    assert "train_images" in stdout
    assert "warn" in stdout
    assert "60 looked at" in stderr
    assert "Traceback" not in stderr


def test_command_json_is_all_of_stdout(command, tmp_path):
    code, stdout, stderr = command("--json", "--limit", 10, "-o", tmp_path / "mine.html")
    assert code == 0
    assert json.loads(stdout)["coverage"] == {"listed": 60, "planned": 60, "asked": 10, "looked_at": 10}
    assert str(tmp_path / "mine.html") in stderr
    assert "10 looked at of 60, as --limit asks" in stderr
    assert (tmp_path / "mine.html").exists()
    assert not (tmp_path / "run").exists()


def test_command_limit_stands_over_the_table(command):
    assert "on 10 of 60 images" in command("--limit", 10)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--limit", "0"], 2, "--limit"),
        (["--set", "data.formatt=coco"], 2, "did you mean format"),
        (["--set", "data.images=/no/such/folder"], 1, "/no/such/folder"),
        (["-o", "/dev/null/page.html"], 1, "StorageError"),
    ],
)
def test_command_mistakes_are_named(command, arguments, code, words):
    found, stdout, stderr = command(*arguments)
    assert found == code
    assert words in stderr
    assert "Traceback" not in stderr
    assert stdout == ""


def test_command_names_with_brackets_are_shown_as_they_are(command, sample_set, tmp_path):
    tree = json.loads((sample_set / "instances.json").read_text())
    for category in tree["categories"]:
        if category["name"] == "person":
            category["name"] = "[red]person[/nothing]"
    (tmp_path / "brackets.json").write_text(json.dumps(tree))
    code, stdout, _ = command(
        *("--set", f"data.annotations={tmp_path / 'brackets.json'}", "--set", "data.category='[red]person[/nothing]'")
    )
    assert code == 0
    assert "not-[red]person[/nothing]" in stdout


@pytest.mark.parametrize("more", [["--help"], []])
def test_command_imports_nothing_heavy(command, tmp_path, more):
    finished = subprocess.run(
        [sys.executable, "-c", PROBE, *command.arguments, *more],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.splitlines()[-1].strip() == "imported:"

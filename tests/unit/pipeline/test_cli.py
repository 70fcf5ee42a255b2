"""The command as a person meets it; where that is the point, installed and in a process of its own."""

import json
import re
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from components.sample_data.writer import write_sample_data
from pipeline.cli import main

ROOT = Path(__file__).parents[3]
VWW = Path(sys.executable).with_name("vww")
MODELS = ROOT.parent / "shared" / "models"
HEAVY = (
    "tensorflow", "tfx", "apache_beam", "keras", "tensorflow_model_analysis", "google.cloud.storage",
)  # fmt: skip
# What looking something up, and an error in the command line or the config, need not wait for either.
UNNEEDED = (*HEAVY, "cryptography", "securesystemslib", "google.cloud.kms", "jinja2", "numpy", "requests")
# Runs the command's main, then names the heavy modules that it has imported on the way.
PROBE = """
import sys
from pipeline.cli import main
heavy, sys.argv = sys.argv[1].split(","), ["vww", *sys.argv[2:]]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
sys.stderr.write("\\nimported: " + " ".join(name for name in heavy if name in sys.modules))
sys.exit(code)
"""
CONFIG = """\
name: tiny
run: {root: ROOT}
data: {annotations: ROOT/no.json, images: ROOT/no}
trainer:
  optimizer: {name: adam}
  schedule: {name: cosine}
  learning_rate: 0.003
  batch_size: 32
  epochs: 2
gates:
  float: {min_accuracy: 0.5}
  int8: {min_accuracy: 0.5}
"""


class Answer:
    def __init__(self, code, stdout, stderr):
        self.code, self.stdout, self.stderr = code, stdout, stderr
        self.both = stdout + stderr
        assert "Traceback" not in self.both, self.both


def run_process(command, folder):
    finished = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=120)
    return Answer(finished.returncode, finished.stdout, finished.stderr)


@pytest.fixture
def installed(tmp_path):
    """Runs the installed command in an empty folder."""
    if not VWW.exists():
        pytest.skip(f"{VWW} is not installed")
    return lambda *arguments: run_process([VWW, *map(str, arguments)], tmp_path)


@pytest.fixture
def probe(tmp_path):
    """Runs the command's main in a process of its own, and asserts that it needed nothing heavy."""

    def run(*arguments, heavy=HEAVY):
        answer = run_process([sys.executable, "-c", PROBE, ",".join(heavy), *map(str, arguments)], tmp_path)
        assert answer.stderr.endswith("\nimported: "), answer.stderr
        answer.stderr = answer.stderr.removesuffix("\nimported: ")
        return answer

    return run


@pytest.fixture
def vww(tmp_path, monkeypatch, capfd):
    """Runs the command's main in this process and an empty folder."""
    monkeypatch.chdir(tmp_path)
    on_interrupt = signal.getsignal(signal.SIGINT)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vww", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Answer(code, *capfd.readouterr())

    yield run
    signal.signal(signal.SIGINT, on_interrupt)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG.replace("ROOT", str(tmp_path / "run")))
    return path


@pytest.fixture(scope="module")
def drawn_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "set"
    write_sample_data(folder, images=40, seed=1)
    return folder


# Help and version.


def test_vww_help_lists_the_commands(probe):
    answer = probe("--help")
    assert answer.code == 0
    for command in ("demo", "run", "sample-data", "inspect", "releases"):
        assert f"  {command} " in answer.stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["demo"], ["--set"]),
        (["run"], ["CONFIG", "--set"]),
        (["sample-data"], ["DIR", "--images", "--seed", "--workers"]),
        (["inspect"], ["FILE.tflite", "--json"]),
        (["releases"], ["list", "show", "log", "verify", "promote", "rollback", "fetch", "diff", "gc"]),
        (["releases", "list"], ["--uri", "--json"]),
        (["releases", "promote"], ["MODEL", "VERSION", "--to", "staging|production", "--key"]),
        (["releases", "gc"], ["MODEL", "--keep", "--delete"]),
        (["releases", "show"], ["MODEL", "VERSION", "--uri", "--json"]),
        (["releases", "verify"], ["MODEL", "VERSION", "--uri", "--key"]),
        (["releases", "keygen"], ["FILE"]),
        (["whence"], ["FILE-OR-SHA256", "--uri", "--json"]),
    ],
)
def test_vww_subcommand_help_names_its_arguments(vww, command, words):
    answer = vww(*command, "--help")
    assert answer.code == 0
    assert answer.stdout.startswith("Usage: vww " + " ".join(command))
    for word in words:
        assert word in answer.stdout


def test_vww_without_arguments_prints_the_help(installed):
    answer = installed()
    assert answer.code == 2
    assert "Usage: vww" in answer.both


def test_vww_version_is_that_of_the_package(probe):
    answer = probe("--version")
    assert (answer.code, answer.stdout) == (0, f"vww {metadata.version('vww')}\n")


# Usage.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-such-option"], "--no-such-option"),
        (["no-such-command"], "no-such-command"),
        (["run"], "CONFIG"),
        (["run", "a.yaml", "b.yaml"], "b.yaml"),
        (["run", "a.yaml", "--st", "x=1"], "--set"),
        (["run", "a.yaml", "--set"], "--set"),
        (["sample-data", "d", "--images", "0"], "--images"),
        (["sample-data", "d", "--images", "many"], "--images"),
        (["sample-data", "d", "--seed", "-1"], "--seed"),
        (["inspect"], "FILE.tflite"),
        (["releases", "no-such-command"], "no-such-command"),
        (["releases", "show"], "MODEL"),
        (["releases", "keygen"], "FILE"),
        (["whence"], "FILE-OR-SHA256"),
    ],
)
def test_vww_wrong_usage_exits_2_and_says_what(vww, arguments, words):
    answer = vww(*arguments)
    assert answer.code == 2
    assert answer.stdout == ""
    assert words in answer.stderr


# What a person gets wrong, and what is only looked up, is answered without the half second that NumPy takes.


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "tiny.yaml", "--set", "trainer.learning_rat=0.1"], 2),
        (["releases", "list", "--uri", "nowhere"], 0),
        (["releases", "show", "demo", "--uri", "nowhere"], 1),
        (["releases", "verify", "demo", "--uri", "nowhere"], 1),
        (["releases", "fetch", "demo", "staging", "out", "--uri", "nowhere"], 1),
        (["whence", "nowhere.tflite"], 2),
        (["whence", "0123456789ab", "--uri", "nowhere"], 1),
        (["slim", "nowhere.tflite"], 1),
    ],
)
def test_vww_quick_answer_imports_no_numpy_nor_cryptography(probe, config, arguments, code):
    assert probe(*arguments, heavy=UNNEEDED).code == code


# The config.


def test_vww_run_unknown_key_exits_2_with_the_nearest(probe, config):
    answer = probe("run", config, "--set", "trainer.learning_rat=0.1")
    assert answer.code == 2
    assert answer.stdout == ""
    assert answer.stderr == (
        f"ConfigError: {config}: trainer.learning_rat: unknown key; did you mean learning_rate?\n"
        "  hint: docs/configuration.md lists every key; --set path.to.key=value overrides one\n"
    )
    assert not (config.parent / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "missing.yaml"], "cannot read the config file missing.yaml"),
        (["run", "tiny.yaml", "--set", "trainer.epochs=many"], "trainer.epochs: input should be a valid integer"),
        (["run", "tiny.yaml", "--set", "trainer.epochs"], "--set received 'trainer.epochs'"),
        (["demo", "--set", "gates.int9.min_accuracy=1"], "gates.int9: unknown key; did you mean int8?"),
    ],
)
def test_vww_config_error_exits_2_before_anything_is_written(vww, config, arguments, words):
    answer = vww(*arguments)
    assert answer.code == 2
    assert words in answer.stderr
    assert [path.name for path in config.parent.iterdir()] == ["tiny.yaml"]


# What stops a run before its first node; the 20 seconds of TFX's imports are not waited for.


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (lambda run: None, "DataError"),
        (lambda run: run.write_text("a file"), "StorageError"),
        (lambda run: (run.mkdir(), (run / "logs").write_text("a file")), "StorageError"),
        (lambda run: (run.mkdir(), (run / ".lock").mkdir()), "StorageError"),
    ],
    ids=["no-images-folder", "root-is-a-file", "logs-is-a-file", "lock-is-a-folder"],
)
def test_vww_run_unusable_input_or_root_exits_1(vww, config, prepare, error):
    prepare(config.parent / "run")
    answer = vww("run", config)
    assert answer.code == 1
    assert answer.stdout == ""
    assert f"{error}: " in answer.stderr
    assert "  hint: " in answer.stderr


def _keep_one_label(document):
    people = {annotation["image_id"] for annotation in document["annotations"] if annotation["category_id"] == 1}
    document["images"] = [image for image in document["images"] if image["id"] not in people]
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] not in people]


def _keep_one_image(document):
    document["images"] = document["images"][:1]
    kept = document["images"][0]["id"]
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] == kept]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: document.pop("annotations"), "annotations"),
        (lambda document: document.pop("categories"), "categories"),
        (lambda document: document["images"].append(document["images"][0]), "image"),
        (lambda document: document["images"].clear(), "image"),
        (lambda document: [c.update(name="robot") for c in document["categories"] if c["id"] == 1], "person"),
        (lambda document: [image.update(width=0) for image in document["images"]], "bad_size"),
        (lambda document: [image.update(file_name="gone.jpg") for image in document["images"]], "gone.jpg"),
        (lambda document: [a.update(bbox=[0, 0, -1, 5]) for a in document["annotations"]], "bad_box"),
        (lambda document: [a.update(image_id=10**9) for a in document["annotations"]], "unknown_image"),
        (lambda document: [a.update(category_id=12) for a in document["annotations"]], "unknown_category"),
        (_keep_one_label, "no image of the label 'person'"),
        (_keep_one_image, "split is empty; there are 1 images in all"),
    ],
    ids=[
        "no-annotations", "no-categories", "duplicate-id", "no-images", "unknown-category-name", "zero-sizes",
        "missing-files", "negative-boxes", "unknown-images", "unknown-categories", "one-label", "empty-split",
    ],
)  # fmt: skip
def test_vww_run_bad_data_exits_1_before_any_node(vww, config, drawn_set, change, words):
    document = json.loads((drawn_set / "instances.json").read_text())
    change(document)
    annotations = config.parent / "changed.json"
    annotations.write_text(json.dumps(document))
    answer = vww("run", config, "--set", f"data.annotations={annotations}", "--set", f"data.images={drawn_set}/images")
    assert answer.code == 1
    assert answer.stdout == ""
    assert "DataError: " in answer.stderr
    assert words in answer.stderr
    assert "[ 1/10]" not in answer.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), ("", "changed.json"), ("{", "JSON"), ("[]", "list"), ("<html>", "JSON")],
)
def test_vww_run_bad_annotations_file_exits_1_and_is_named(vww, config, drawn_set, content, words):
    annotations = config.parent / "changed.json"
    if content is not None:
        annotations.write_text(content)
    answer = vww("run", config, "--set", f"data.annotations={annotations}", "--set", f"data.images={drawn_set}/images")
    assert answer.code == 1
    assert "DataError: " in answer.stderr
    assert str(annotations) in answer.stderr
    assert words.lower() in answer.stderr.lower()


def test_vww_run_root_in_use_exits_2(probe, config):
    import fcntl

    root = config.parent / "run"
    root.mkdir()
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = probe("run", config)
    assert answer.code == 2
    assert f"another run is using {root}" in answer.stderr


@pytest.mark.parametrize("kind", ["other-files", "a-file", "junk-pointer"])
def test_vww_run_release_folder_that_holds_something_else_is_refused_before_the_data_is_looked_at(
    vww, config, kind, tmp_path
):
    store = tmp_path / "store"
    (store / "tiny").mkdir(parents=True)
    if kind == "other-files":
        (store / "tiny" / "thesis.tex").write_text("mine")
    elif kind == "junk-pointer":
        (store / "tiny" / "channels.json").write_text("not a version at all\n")
    else:
        (store / "tiny").rmdir()
        (store / "tiny").write_text("a file")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    answer = vww("run", config, "--set", f"release.uri={store}")
    assert answer.code == 1
    assert "ReleaseError: " in answer.stderr
    assert str(store / "tiny") in answer.stderr
    assert "[ 1/10]" not in answer.stderr
    assert not (tmp_path / "run" / "artifacts").exists()
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


# Sample data.


def test_vww_sample_data_prints_the_folder_on_stdout(vww, tmp_path):
    answer = vww("sample-data", "set", "--images", "3", "--seed", "2")
    assert (answer.code, answer.stdout) == (0, "set\n")
    assert len(list((tmp_path / "set" / "images").iterdir())) == 3
    assert "SampleSummary(" not in answer.stderr


def test_vww_sample_data_into_a_used_folder_exits_1(probe, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    answer = probe("sample-data", ".")
    assert answer.code == 1
    assert "there is something here already" in answer.stderr


# Flatbuffers.


@pytest.mark.parametrize(
    ("name", "kernel", "words"),
    [
        ("person_detect.tflite", "DEPTHWISE_CONV_2D", ["300,568 bytes", "1x96x96x1", "int8"]),
        ("vww_96_int8.tflite", "DEPTHWISE_CONV_2D", ["1x96x96x3", "int8"]),
        ("vww_96_float.tflite", "DEPTHWISE_CONV_2D", ["1x96x96x3", "float32"]),
    ],
)
def test_vww_inspect_real_models_are_read(installed, vww, name, kernel, words):
    if not (MODELS / name).exists():
        pytest.skip(f"{MODELS / name} is not here")
    answer = installed("inspect", MODELS / name)
    assert answer.code == 0, answer.stderr
    for word in (kernel, "Operators", "Tensor contracts", "MACs", *words):
        assert word in answer.stdout
    as_json = json.loads(vww("inspect", MODELS / name, "--json").stdout)
    assert as_json["flatbuffer_bytes"] == (MODELS / name).stat().st_size
    assert kernel in {op["name"] for op in as_json["ops"]}
    assert as_json["tflm"]["arena"]["total_bytes"] > 0


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "zeros", "folder", "missing"])
def test_vww_inspect_what_is_no_flatbuffer_exits_1(vww, tmp_path, kind):
    path = tmp_path / "model.tflite"
    if kind == "folder":
        path.mkdir()
    elif kind == "truncated":
        if not (MODELS / "person_detect.tflite").exists():
            pytest.skip(f"{MODELS} is not here")
        path.write_bytes((MODELS / "person_detect.tflite").read_bytes()[:100_000])
    elif kind != "missing":
        path.write_bytes({"empty": b"", "text": b"hello, world\n", "zeros": b"\x1c\0\0\0TFL3" + bytes(100)}[kind])
    answer = vww("inspect", path)
    assert answer.code == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("ModelError: ")
    assert "expected: " in answer.stderr


# Releases.


def test_vww_releases_list_empty_store_is_an_empty_table(probe, tmp_path):
    for uri in (tmp_path, tmp_path / "nowhere"):
        answer = probe("releases", "list", "--uri", uri)
        assert (answer.code, answer.stderr) == (0, "")
        assert f"Releases in {uri}" in answer.stdout


@pytest.mark.parametrize("command", ["show", "verify"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny"], "nothing was promoted to staging in"),
        (["tiny", "0123456789ab"], "0123456789ab"),
        (["tiny", "../x"], "not a version name: received version='../x'"),
        (["../x"], "not a model name: received model='../x'"),
        (["tiny", "latest"], "not a version name"),
    ],
)
def test_vww_releases_missing_release_exits_1_and_is_named(vww, tmp_path, command, arguments, words):
    for uri in (tmp_path, tmp_path / "nowhere"):
        answer = vww("releases", command, *arguments, "--uri", uri)
        assert answer.code == 1
        assert answer.stdout == ""
        assert answer.stderr.startswith("ReleaseError: ")
        assert words in answer.stderr


def test_vww_releases_where_a_file_is_exits_1(vww, tmp_path):
    (tmp_path / "file").write_text("x")
    for command in (["list"], ["show", "tiny"], ["verify", "tiny", "0123456789ab"]):
        answer = vww("releases", *command, "--uri", tmp_path / "file")
        assert answer.code == 1, answer.both
        assert str(tmp_path / "file") in answer.stderr


def test_vww_releases_damaged_manifest_exits_1(vww, tmp_path):
    release = tmp_path / "tiny" / "0123456789ab"
    release.mkdir(parents=True)
    (release / "manifest.json").write_text("{")
    for command in (["list"], ["show", "tiny", "0123456789ab"], ["verify", "tiny", "0123456789ab"]):
        answer = vww("releases", *command, "--uri", tmp_path)
        assert answer.code == 1
        assert "manifest.json is no JSON" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to sweep"),
        (("--alpha", ""), "--alpha trainer.alpha: received no value"),
        (("--alpha", "0.25,0.3"), "1 of 2 points cannot be built:"),
        (("--alpha", "0.25", "--over", "trainer.alpha=0.5"), "trainer.alpha: swept twice"),
        (("--side", "96", "--over", "run.root=a,b"), "--over run.root: a sweep gives every point a root"),
    ],
    ids=["no axis", "no value", "invalid point", "twice", "root"],
)
def test_sweep_that_cannot_be_built_is_a_usage_error_told_at_once(probe, tmp_path, arguments, message):
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("ROOT", str(tmp_path)))
    answer = probe("sweep", tmp_path / "tiny.yaml", *arguments)
    assert answer.code == 2
    assert message in answer.stderr
    assert answer.stdout == ""


def test_sweep_whose_page_cannot_be_written_says_so_before_any_work(probe, tmp_path):
    write_sample_data(tmp_path / "set", images=60, seed=1)
    config = CONFIG.replace("ROOT/no.json", "ROOT/set/instances.json").replace("ROOT/no", "ROOT/set/images")
    config = config.replace("gates:\n", "gates:\n  on: point\n").replace("{root: ROOT}", "{root: ROOT/run}")
    (tmp_path / "tiny.yaml").write_text(config.replace("ROOT", str(tmp_path)))
    answer = probe("sweep", tmp_path / "tiny.yaml", "--alpha", "0.25,0.5", "--output", "/proc/sweep")
    assert answer.code == 1
    assert "StorageError: /proc/sweep" in answer.stderr
    assert not (tmp_path / "run").exists()


# Provenance.


def test_vww_releases_keygen_makes_a_key_that_is_never_overwritten(probe, tmp_path):
    answer = probe("releases", "keygen", tmp_path / "release.key")
    assert answer.code == 0
    assert re.fullmatch(r"[0-9a-f]{64}\n", answer.stdout)
    assert "release.key.pub" in answer.stderr
    assert (tmp_path / "release.key").stat().st_mode & 0o777 == 0o600
    again = probe("releases", "keygen", tmp_path / "release.key")
    assert (again.code, again.stdout) == (1, "")
    assert "is there already" in again.stderr


def test_vww_run_with_a_key_that_is_not_there_exits_2_before_anything_else(probe, tmp_path):
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("ROOT", str(tmp_path)))
    answer = probe("run", tmp_path / "tiny.yaml", "--set", f"release.signing_key={tmp_path}/nowhere.key")
    assert (answer.code, answer.stdout) == (2, "")
    assert f"release.signing_key: cannot read {tmp_path}/nowhere.key" in answer.stderr


def test_vww_whence_unknown_digest_exits_1_and_says_where_was_looked(probe, tmp_path):
    answer = probe("whence", "0" * 64, "--uri", tmp_path)
    assert (answer.code, answer.stdout) == (1, "")
    assert f"releases looked into: 0 in {tmp_path}" in answer.stderr


def test_vww_whence_neither_file_nor_digest_exits_2(probe, tmp_path):
    answer = probe("whence", tmp_path / "nothing.tflite")
    assert (answer.code, answer.stdout) == (2, "")
    assert "cannot read" in answer.stderr


def test_vww_inspect_images_without_a_float_model_exits_2(probe, tmp_path):
    answer = probe("inspect", tmp_path / "model.tflite", "--images", tmp_path)
    assert (answer.code, answer.stdout) == (2, "")
    assert "--against-float" in answer.stderr


# vww compile.

ON_CLUSTER = (
    *("--set", "data.annotations=gs://b/a.json", "--set", "data.images=gs://b/images"),
    *("--set", "release.uri=gs://b/releases", "--set", "kubeflow.image=registry/vww:1"),
)
GPU_FOR_TRANSFORM = (
    *("--set", "kubeflow.pipeline_root=gs://b/root"),
    *("--set", "kubeflow.steps.Transform.accelerator.count=1"),
)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target", "argo", "-o", "p.yaml"], 2, "'argo' is not one of 'kubeflow', 'vertex'"),
        (["--target", "kubeflow", "-o", "p.json"], 2, "--output p.json does not end as --target kubeflow asks"),
        (["--target", "vertex", "-o", "p.yaml"], 2, "--output p.yaml does not end as --target vertex asks"),
        (["--target", "kubeflow", "-o", "none/p.yaml"], 1, "StorageError: none/p.yaml cannot be written"),
        (["--target", "kubeflow", "-o", "bad\udcff.yaml"], 2, r"'bad\udcff.yaml' is not UTF-8"),
        (["--target", "kubeflow", "-o", "p.yaml", *ON_CLUSTER], 2, "kubeflow.pipeline_root: missing"),
        (
            ["--target", "kubeflow", "-o", "p.yaml", *ON_CLUSTER, "--set", "kubeflow.pipeline_root=/data"],
            2,
            "kubeflow.pipeline_root: received '/data'",
        ),
        (
            ["--target", "kubeflow", "-o", "p.yaml", *ON_CLUSTER, *GPU_FOR_TRANSFORM],
            2,
            "a GPU would stand idle there",
        ),
    ],
)
def test_vww_compile_of_what_no_cluster_can_run_is_refused_at_once(probe, config, tmp_path, arguments, code, words):
    answer = probe("compile", config, *arguments, heavy=(*UNNEEDED, "kfp"))
    assert (answer.code, answer.stdout) == (code, "")
    assert words in answer.stderr
    assert not list(tmp_path.glob("p.*"))


def test_vww_compile_writes_the_pipeline_and_prints_its_path(vww, config, tmp_path):
    answer = vww("compile", config, "--target", "vertex", "-o", "p.json", *ON_CLUSTER, "--set",
                 "kubeflow={pipeline_root: gs://b/r, image: 'registry/vww:1', all_steps: {shm: 1Gi}}")  # fmt: skip
    assert (answer.code, answer.stdout) == (0, "p.json\n")
    assert "kubeflow.all_steps.shm has no meaning on Vertex AI and was left out." in answer.stderr
    assert json.loads((tmp_path / "p.json").read_text())["runtimeConfig"]["gcsOutputDirectory"] == "gs://b/r"

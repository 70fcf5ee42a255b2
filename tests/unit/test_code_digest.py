import importlib.util
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from components import code_digest as real

COMPONENTS = Path(real.__file__).parent
STAGES = sorted(path.parent.name for path in COMPONENTS.glob("*/__init__.py"))


@pytest.fixture
def copied(tmp_path):
    """A copy of the package to be changed, and `code_digest` as that copy computes it."""
    root = tmp_path / "components"
    shutil.copytree(COMPONENTS, root, ignore=shutil.ignore_patterns("__pycache__"))
    spec = importlib.util.spec_from_file_location("copied_code_digest", root / "code_digest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shutil.rmtree(root / "__pycache__", ignore_errors=True)
    return root, module.code_digest


def test_code_digest_same_files_elsewhere_give_the_same(copied):
    _, digest = copied
    assert [digest(stage) for stage in STAGES] == [real.code_digest(stage) for stage in STAGES]
    assert len({digest(stage) for stage in STAGES}) == len(STAGES)


def test_code_digest_order_of_stages_does_not_matter(copied):
    _, digest = copied
    assert digest("pusher", "quantization") == digest("quantization", "pusher") != digest("pusher")


@pytest.mark.parametrize(
    ("changed", "stage"),
    [
        ("trainer/optimization.py", "trainer"),
        ("trainer/models/mobilenet_v1.py", "trainer"),
        ("pusher/c_bundle/templates/arena.h.jinja", "pusher"),
        ("data_validation/statistics_schema.pbtxt", "data_validation"),
    ],
)
def test_code_digest_changed_file_changes_its_own_stage_only(copied, changed, stage):
    root, digest = copied
    before = {name: digest(name) for name in STAGES}
    (root / changed).write_text((root / changed).read_text() + "\n")
    assert [name for name in STAGES if digest(name) != before[name]] == [stage]


def test_code_digest_changed_shared_file_changes_every_stage(copied):
    root, digest = copied
    before = {name: digest(name) for name in STAGES}
    (root / "pixels.py").write_text("HALF_RANGE = 128\n")
    assert all(digest(name) != before[name] for name in STAGES)


@pytest.mark.parametrize("package", ["keras", "keras-tuner", "tensorflow"])
def test_code_digest_other_version_of_the_stack_changes_every_stage(copied, monkeypatch, package):
    _, digest = copied
    before = {name: digest(name) for name in STAGES}
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0" if name == package else version(name))
    assert all(digest(name) != before[name] for name in STAGES)


def test_code_digest_renamed_or_new_file_changes_it(copied):
    root, digest = copied
    before = digest("trainer")
    (root / "trainer/options.py").rename(root / "trainer/options2.py")
    renamed = digest("trainer")
    (root / "trainer/new.py").touch()
    assert len({before, renamed, digest("trainer")}) == 3


def test_code_digest_bytecode_and_times_do_not_matter(copied):
    root, digest = copied
    before = digest("trainer")
    (root / "trainer/__pycache__").mkdir()
    (root / "trainer/__pycache__/options.cpython-311.pyc").write_bytes(b"x")
    (root / "trainer/options.py").touch()
    assert digest("trainer") == before


def test_code_digest_unknown_stage_is_refused(copied):
    _, digest = copied
    with pytest.raises(ValueError, match="trianer"):
        digest("trianer")

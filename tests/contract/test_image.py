"""What surrounds the image: docker/build, what it passes on, and what a container runs. The image itself only if given.

VWW_IMAGE=NAME:TAG names one that docker or buildah has here; the last two tests run in it, for some minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from components.pusher.code_version import code_version, public_address
from components.pusher.options import CodeVersion
from components.sample_data.writer import write_sample_data

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# Shows what it was called with, a word a line.
SHOW = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


@pytest.fixture
def image():
    name = os.environ.get("VWW_IMAGE")
    if name is None:
        pytest.skip("VWW_IMAGE=NAME:TAG names no image that docker or buildah has here; docker/build makes one")
    if shutil.which("docker") is None and shutil.which("buildah") is None:
        pytest.skip("neither docker nor buildah is installed")
    return name


def build(tmp_path, origin, *options):
    """What docker/build asks of the builder, in a checkout that was cloned from `origin`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(SHOW)
    (programs / "docker").chmod(0o755)
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "docker", checkout / "docker")
    shutil.copy(ROOT / "pyproject.toml", checkout)
    for command in (
        ("init", "-q"),
        ("config", "remote.origin.url", origin),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"),
    ):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    environment = {**os.environ, "BUILDER": "docker", "PATH": f"{programs}:{os.environ['PATH']}"}
    ran = subprocess.run(
        [checkout / "docker/build", *options], env=environment, check=True, capture_output=True, text=True
    )
    return ran.stdout.strip(), ran.stderr.splitlines()


@pytest.mark.parametrize(
    "origin", ["https://me:token@example.org/team/vww.git", "git@example.org:team/vww.git", "/home/me/vww"]
)
def test_build_from_a_clone_passes_its_origin_on_as_releases_name_it(tmp_path, origin):
    tag, asked = build(tmp_path, origin)
    assert f"SOURCE={public_address(origin) or ''}" in asked
    assert "DIRTY=false" in asked
    assert tag == f"vww:{code_version().version}"


def test_build_of_a_gpu_image_asks_for_that_and_passes_options_on(tmp_path):
    tag, asked = build(tmp_path, "/home/me/vww", "--gpu", "--no-cache")
    assert {"GPU=1", "--no-cache"} <= {*asked}
    assert not [argument for argument in asked if argument.startswith("BEAM=")]
    assert tag.endswith("-gpu")


@pytest.mark.parametrize(
    "options", [("-t", "example.org/vww:1-gpu", "--gpu"), ("--gpu", "-t", "example.org/vww:1-gpu")]
)
def test_build_of_an_image_with_a_name_gives_it_that_name(tmp_path, options):
    tag, asked = build(tmp_path, "/home/me/vww", *options)
    assert tag == "example.org/vww:1-gpu"
    assert asked[asked.index("-t") + 1] == tag
    assert "GPU=1" in asked


def test_code_version_of_an_image_is_what_a_step_reads(tmp_path):
    arguments = ["1f" * 20, "true", ""]
    written = subprocess.run(
        [sys.executable, ROOT / "docker/code_version.py", *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    here = code_version()
    (tmp_path / "code_version.json").write_text(written)
    assert code_version(tmp_path) == CodeVersion(
        version=here.version, commit="1f" * 20, dirty=True, repository=None, lock_sha256=here.lock_sha256
    )


def test_build_takes_beams_launcher_of_the_version_that_the_lock_installs(tmp_path):
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (beam,) = (package["version"] for package in lock["package"] if package["name"] == "apache-beam")
    _, asked = build(tmp_path, "/home/me/vww", "--beam-launcher")
    assert f"BEAM=docker.io/apache/beam_python3.11_sdk:{beam}" in asked


def test_last_stage_takes_no_build_tool_along():
    last_stage = DOCKERFILE.split("\nFROM ")[-1].replace("\\\n", " ")
    (run,) = [line for line in last_stage.splitlines() if line.startswith("RUN ")]
    assert run.split() == [
        "RUN", "--mount=type=bind,from=environment,source=/opt/venv,target=/tmp/environment",
        "cp", "-a", "/tmp/environment", "/opt/venv",
    ]  # fmt: skip


def test_container_that_beam_starts_without_a_launcher_says_so():
    ran = subprocess.run(
        [ROOT / "docker/entrypoint", "--id=1-1", "--provision_endpoint=localhost:1"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "no launcher of Beam workers" in ran.stderr


def test_container_that_a_person_starts_runs_the_command(tmp_path):
    (tmp_path / "vww").write_text(SHOW)
    (tmp_path / "vww").chmod(0o755)
    ran = subprocess.run(
        [ROOT / "docker/entrypoint", "releases", "list", "--uri", "gs://a/b"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == ["releases", "list", "--uri", "gs://a/b"]


@pytest.mark.skipif(
    shutil.which("docker") is None and shutil.which("buildah") is None,
    reason="neither docker nor buildah is installed",
)
def test_verify_of_an_image_that_is_not_there_says_how_to_build_it():
    builder = "docker" if shutil.which("buildah") is None else "buildah"
    ran = subprocess.run(
        [ROOT / "docker/verify", "localhost/none:0"],
        env={**os.environ, "BUILDER": builder},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        f"docker/verify: {builder} has no image localhost/none:0",
        "  hint: docker/build -t localhost/none:0",
    ]


def test_image_as_a_cluster_runs_it_is_verified(image):
    ran = subprocess.run([ROOT / "docker/verify", image], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "CuratedSchema" in ran.stdout


def test_image_given_a_compiled_pipeline_executes_it_to_a_release(image, tmp_path):
    write_sample_data(tmp_path / "data", images=120, seed=1, workers=2)
    tmp_path.chmod(0o777)
    config = {
        "name": "tiny",
        "run": {"root": "runs", "seed": 3},
        "data": {"annotations": "/work/data/instances.json", "images": "/work/data/images"},
        "transform": {"side": 32},
        "trainer": {
            "optimizer": {"name": "adam"},
            "learning_rate": 0.003,
            "schedule": {"name": "cosine"},
            "batch_size": 16,
            "epochs": 1,
        },
        "gates": {
            "on": "point",
            "float": {"min_accuracy": 0.0, "max_accuracy_drop": 1.0},
            "int8": {"min_accuracy": 0.0, "max_accuracy_drop": 1.0},
        },
        "release": {"uri": "/work/releases", "c_name": "tiny", "calibration_images": 40},
        "kubeflow": {
            "pipeline_root": "minio://bucket/root",
            "image": image,
            "all_steps": {"volumes": [{"claim": "work", "path": "/work"}]},
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    script = f"""
        set -euo pipefail; source docker/builder; open_image {image}; trap close_image EXIT
        volumes=(-v {tmp_path}:/work)
        run_image 123456 vww compile /work/config.json --target kubeflow -o /work/pipeline.yaml
        run_image 123456 vww emulate /work/pipeline.yaml --root /work/emulation --fresh
    """
    ran = subprocess.run(["bash", "-c", script], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert len([*(tmp_path / "releases").rglob("manifest.json")]) == 1

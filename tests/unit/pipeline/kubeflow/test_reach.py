"""What the steps of a compiled pipeline can reach."""

from pathlib import Path

import pytest

from components.errors import ConfigError
from pipeline.config import read_config
from pipeline.kubeflow.reach import check_reach, left_out

DEMO = str(Path(__file__).parents[4] / "pipeline/configs/demo.yaml")
BASE = (
    "data.annotations=gs://b/a.json",
    "data.images=gs://b/images",
    "release.uri=gs://b/releases",
    "kubeflow.pipeline_root=gs://b/root",
    "kubeflow.image=registry/vww:1",
)
ON_VOLUME = "kubeflow.all_steps.volumes=[{claim: vww, path: /vww}]"


def read(*overrides):
    return read_config(DEMO, [*BASE, *overrides])


def refusal(*overrides, target="kubeflow"):
    with pytest.raises(ConfigError) as raised:
        check_reach(read(*overrides), target)
    return raised.value


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_config_in_buckets_alone_reaches_all(target):
    check_reach(read(), target)


def test_config_without_the_section_is_refused_with_what_it_needs():
    with pytest.raises(ConfigError, match="kubeflow: missing") as raised:
        check_reach(read_config(DEMO, BASE[:3]), "kubeflow")
    assert "kubeflow.pipeline_root and kubeflow.image" in raised.value.expected


@pytest.mark.parametrize(
    ("override", "key", "step"),
    [
        ("data.annotations=/home/me/a.json", "data.annotations=/home/me/a.json", "CocoExampleGen"),
        ("data.annotations=[gs://b/a.json, /home/me/b.json]", "data.annotations=/home/me/b.json", "CocoExampleGen"),
        ("data.images=/home/me/images", "data.images", "CocoExampleGen"),
        ("data.split_ids={eval: /home/me/ids.txt}", "data.split_ids", "CocoExampleGen"),
        ("release.uri=/home/me/releases", "release.uri", "ReleasedModel"),
        ("release.signing_key=/home/me/key.pem", "release.signing_key", "MicroPusher"),
        ("release.trusted_keys=[/home/me/key.pub]", "release.trusted_keys", "ReleasedModel"),
        ("trainer.initial_weights=/home/me/w.h5", "trainer.initial_weights", "Trainer"),
    ],
)
def test_local_path_on_no_volume_is_refused_with_its_key_and_step(override, key, step):
    error = refusal(override)
    assert error.message.startswith(key)
    assert error.message.endswith(f"out of reach of {step}: no volume of the step holds it")
    assert f"kubeflow.steps.{step}.volumes=" in error.hint


def test_hint_for_a_path_mounts_beside_what_is_mounted_and_can_be_followed():
    volumes = "kubeflow.all_steps.volumes=[{claim: vww, path: /vww, sub_path: a}]"
    hint = refusal("data.images=/data/y/z", volumes, "data.annotations=/vww/a.json").hint
    added = hint.split("'")[1]
    assert added == (
        "kubeflow.steps.CocoExampleGen.volumes=[{claim: vww, path: /vww, sub_path: a}, {claim: NAME, path: /data/y}]"
    )
    followed = added.replace("NAME", "data")
    check_reach(read("data.images=/data/y/z", "data.annotations=/vww/a.json", volumes, followed), "kubeflow")


@pytest.mark.parametrize(("path", "hint"), [("/data", "path: /data}]"), ("/a.json", "=gs://BUCKET/PATH")])
def test_hint_for_a_path_that_no_volume_can_have_as_its_content_names_another_way(path, hint):
    assert hint in refusal(f"data.annotations={path}").hint


def test_path_that_leads_out_of_its_volume_is_refused():
    assert "no volume of the step holds it" in refusal("data.images=/vww/../home", ON_VOLUME).message


def test_name_that_a_pipeline_cannot_have_is_refused_by_its_key():
    assert refusal(f"name={'a' * 64}").message == (
        f"name={'a' * 64}: a pipeline's name has up to 63 characters, this has 64"
    )
    check_reach(read(f"name={'a' * 63}_"), "kubeflow")
    check_reach(read("name=96_pixels"), "kubeflow")
    assert refusal("name=96_pixels", target="vertex").hint == "--set name=vww-96-pixels"


@pytest.mark.parametrize("address", ["gs://", "gs:///x", "gs://a bucket/x"])
def test_address_without_a_bucket_is_refused(address):
    assert refusal(f"data.images={address}").message == f"data.images={address} is no address in a bucket"


@pytest.mark.parametrize("override", ["data.images=s3://b/images", "release.uri=minio://b/releases"])
def test_address_that_no_step_can_speak_is_refused(override):
    error = refusal(override, ON_VOLUME)
    assert error.message.startswith(override)
    assert "which does not speak" in error.message


def test_local_path_on_a_volume_of_its_steps_is_taken():
    on_it = ("data.annotations=/vww/a.json", "data.images=/vww/images", "release.uri=/vww/releases")
    check_reach(read(*on_it, ON_VOLUME), "kubeflow")
    half = "kubeflow.steps.ReleasedModel.volumes=[{claim: vww, path: /vww}]"
    assert "out of reach of MicroPusher" in refusal("release.uri=/vww/releases", half).message
    assert "/vwwx" in refusal("data.images=/vwwx/images", ON_VOLUME).message


def test_key_in_a_mounted_secret_is_taken():
    mounted = "kubeflow.steps.MicroPusher.secrets=[{name: s, path: /keys}]"
    check_reach(read("release.signing_key=/keys/k.pem", mounted), "kubeflow")


def test_release_below_the_working_folder_is_refused():
    assert refusal("release.uri=null").message.startswith("release.uri: missing")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["kubeflow.pipeline_root=minio://b/root"], "kubeflow.pipeline_root=minio://b/root is nothing that Vertex AI"),
        (["data.images=/vww/i", ON_VOLUME], "data.images=/vww/i is out of reach of CocoExampleGen: Vertex AI mounts"),
        (["kubeflow.steps.Trainer.accelerator.count=1"], "kubeflow.steps.Trainer.accelerator.vertex: missing"),
    ],
)
def test_what_vertex_cannot_use_is_refused(overrides, said):
    assert refusal(*overrides, target="vertex").message.startswith(said)


def test_keys_without_meaning_on_vertex_are_named():
    config = read(ON_VOLUME, "kubeflow.steps.Trainer={shm: 2Gi, cpu: 4, deadline_s: 60}")
    assert left_out(config, "kubeflow") == []
    assert left_out(config, "vertex") == [
        f"kubeflow.{key} has no meaning on Vertex AI"
        for key in ("all_steps.volumes", "steps.Trainer.shm", "steps.Trainer.deadline_s")
    ]


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_step_that_the_config_does_not_have_is_named(target):
    config = read("kubeflow.steps.Tuner={cpu: 4}")
    assert left_out(config, target) == ["kubeflow.steps.Tuner has no meaning without the section tuner"]


# Beam's workers.

FLINK = "beam={runner: flink, flink_master: 'f:8081', worker_pool: 'localhost:50000'}"
DATAFLOW = "beam={runner: dataflow, project: my-project, region: a-b1, temp_location: 'gs://b/t', container_image: v:1}"


def test_beam_on_dataflow_is_taken_on_vertex_alone():
    check_reach(read(DATAFLOW), "vertex")
    assert refusal(DATAFLOW).message.startswith("beam.runner=dataflow: its workers reach buckets")


@pytest.mark.parametrize(("root", "folder"), [("gs://b/root", "/gcs"), ("minio://b/root", "/minio")])
def test_beam_on_flink_needs_a_volume_where_its_steps_keep_their_artifacts(root, folder):
    overrides = (FLINK, f"kubeflow.pipeline_root={root}")
    error = refusal(*overrides)
    assert error.message == (
        "beam.runner=flink: the workers cannot reach the artifacts of CocoExampleGen, which lie in its pod"
        f" at {folder}/b/root"
    )
    assert f"path: {folder}}}" in error.hint
    check_reach(read(*overrides, f"kubeflow.all_steps.volumes=[{{claim: shared, path: {folder}}}]"), "kubeflow")
    elsewhere = "kubeflow.steps.Evaluator.volumes=[{claim: shared, path: /other}]"
    shared = f"kubeflow.all_steps.volumes=[{{claim: shared, path: {folder}/b}}]"
    assert "artifacts of Evaluator" in refusal(*overrides, shared, elsewhere).message


def test_beam_on_flink_on_vertex_finds_artifacts_in_the_bucket():
    check_reach(read(FLINK), "vertex")

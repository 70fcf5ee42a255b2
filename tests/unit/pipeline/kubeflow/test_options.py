"""The config section `kubeflow`, and what it refuses."""

from pathlib import Path

import pytest

from components.errors import ConfigError
from pipeline.config import read_config

DEMO = str(Path(__file__).parents[4] / "pipeline/configs/demo.yaml")
BASE = (
    "data.annotations=gs://b/a.json",
    "data.images=gs://b/images",
    "kubeflow.pipeline_root=gs://b/root",
    "kubeflow.image=registry/vww:1",
)


def read(*overrides):
    return read_config(DEMO, [*BASE, *overrides])


def refusal(*overrides):
    with pytest.raises(ConfigError) as raised:
        read(*overrides)
    assert raised.value.exit_code == 2
    return raised.value.message.removeprefix(f"{DEMO}: ")


def test_step_with_keys_of_its_own_takes_the_rest_from_all_steps():
    kubeflow = read(
        "kubeflow.all_steps={cpu: 2, memory: 4Gi, env: {A: a}}", "kubeflow.steps={Trainer: {cpu: 8}}"
    ).kubeflow
    trainer = kubeflow.step("Trainer")
    assert (trainer.cpu, trainer.memory, trainer.env) == (8, "4Gi", {"A": "a"})
    assert kubeflow.step("Transform").cpu == 2


def test_step_is_the_same_after_the_config_went_through_a_file():
    config = read("kubeflow.all_steps={memory: 4Gi}", "kubeflow.steps={Trainer: {cpu: 8}}")
    again = type(config).from_json(config.to_json())
    assert again.kubeflow.step("Trainer") == config.kubeflow.step("Trainer")


@pytest.mark.parametrize(
    "root",
    [
        *("runs/demo", "/data/root", "file:///data", "https://bucket/x"),
        *(
            "gs://",
            "gs:///x",
            "gs://a bucket/x",
            "gs://B/x",
            "s3://a_bucket/x",
            "gs://b/../x",
            "gs://b/./x",
            "gs://b//x",
        ),
    ],
)
def test_pipeline_root_that_steps_cannot_share_is_refused(root):
    said = refusal(f"kubeflow.pipeline_root={root}")
    assert said.startswith(f"kubeflow.pipeline_root: received '{root}', which the steps")
    assert "gs://BUCKET/PATH" in said


@pytest.mark.parametrize("root", ["gs://b/root", "minio://mlpipeline/vww", "s3://b/root/", "gs://a_bucket"])
def test_pipeline_root_in_a_bucket_is_taken(root):
    assert read(f"kubeflow.pipeline_root={root}").kubeflow.pipeline_root == root.rstrip("/")


@pytest.mark.parametrize(
    "image",
    [
        "vww",
        "localhost:5000/vww",
        "eu-docker.pkg.dev/p/r/vww:1-gpu",
        "Host.example/a__b/c-d:V_1",
        f"v@sha256:{'0' * 64}",
    ],
)
def test_image_that_a_registry_can_have_is_taken(image):
    assert read(f"kubeflow.image={image}").kubeflow.image == image


def test_unknown_step_is_refused_with_those_there_are():
    said = refusal("kubeflow.steps={Trainr: {cpu: 8}}")
    assert said.startswith("kubeflow.steps.Trainr: input should be 'BudgetGate'")
    assert "'Trainer'" in said


@pytest.mark.parametrize("where", ["all_steps", "steps.Transform", "steps.Evaluator"])
def test_gpu_of_a_step_that_trains_nothing_is_refused(where):
    said = refusal(f"kubeflow.{where}.accelerator.count=1")
    assert said == (
        f"kubeflow.{where}.accelerator: a GPU would stand idle there; expected one of steps.Trainer and steps.Tuner,"
        " the steps that train"
    )


def test_gpu_of_the_trainer_is_taken():
    assert read("kubeflow.steps.Trainer.accelerator.count=2").kubeflow.step("Trainer").accelerator.count == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_TOKEN", "abc"),
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("db_password", "abc"),
        ("SIGNER", "-----BEGIN PRIVATE KEY-----"),
        ("REPOSITORY", "ghp_0123456789"),
        ("MYTOKEN", "abc"),
        ("TOKEN_2", "abc"),
        ("DB_PASSWORD", "/x"),
        ("FLAGS", "--id AKIAABCDEFGHIJKLMNOP"),
        ("REPOSITORY", "github_pat_11ABC"),
        ("HTTP_PROXY", "http://user:pass@host:1"),
    ],
)
def test_env_that_looks_like_a_credential_is_refused_with_the_way_it_goes(name, value):
    said = refusal(f"kubeflow.all_steps.env={{{name}: '{value}'}}")
    assert said.startswith(f"kubeflow.all_steps.env: {name} looks like a credential")
    assert "secrets" in said
    assert value not in said


@pytest.mark.parametrize(
    "env",
    [
        "{GOOGLE_APPLICATION_CREDENTIALS: /keys/key.json}",
        "{TOKENIZERS_PARALLELISM: 'false'}",
        "{TF_CPP_MIN_LOG_LEVEL: '1'}",
        "{KEY_COUNT: '3'}",
        "{MONKEY: capuchin}",
        "{DB_PASSWORD_FILE: /run/secrets/db}",
        "{HTTP_PROXY: 'http://proxy:3128'}",
        "{AUTHOR: 'laughs_a_lot'}",
    ],
)
def test_env_that_is_no_secret_is_taken(env):
    assert len(read(f"kubeflow.all_steps.env={env}").kubeflow.all_steps.env) == 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        *(
            (f"kubeflow.image={image}", "kubeflow.image: expected an image such as registry.example/vww:1; received")
            for image in ("Registry/x y", "a:b:c", "reg/vww:1/", "//", "reg/vww:1@sha256:abc")
        ),
        ("kubeflow.all_steps.memory=4", "kubeflow.all_steps.memory: input should be a valid string"),
        ("kubeflow.all_steps.memory=4GB", "kubeflow.all_steps.memory: string should match pattern"),
        ("kubeflow.all_steps.cpu=0", "kubeflow.all_steps.cpu: input should be greater than"),
        ("kubeflow.all_steps.cpu=100000", "kubeflow.all_steps.cpu: input should be less than"),
        ("kubeflow.all_steps.retries.count=0", "kubeflow.all_steps.retries.count: input should be greater than"),
        (
            "kubeflow.all_steps.retries={count: 1, backoff_s: 99999999999999999999}",
            "kubeflow.all_steps.retries.backoff_s: input should be",
        ),
        (
            "kubeflow.all_steps.retries={count: 1, max_backoff_s: 1_000_000}",
            "kubeflow.all_steps.retries.max_backoff_s: input should be less than",
        ),
        ("kubeflow.all_steps.deadline_s=3_000_000_000", "kubeflow.all_steps.deadline_s: input should be less than"),
        ("kubeflow.all_steps.deadline_s=0", "kubeflow.all_steps.deadline_s: input should be greater than"),
        (
            "kubeflow.all_steps.volumes=[{claim: data, path: data}]",
            "kubeflow.all_steps.volumes.0.path: expected a folder such as /data",
        ),
        (
            "kubeflow.all_steps.volumes=[{claim: a, path: /x}, {claim: b, path: /x}]",
            "kubeflow.all_steps.volumes, secrets, shm: two are mounted at /x",
        ),
        (
            "kubeflow.all_steps={shm: 1Gi, volumes: [{claim: a, path: /dev/shm}]}",
            "kubeflow.all_steps.volumes, secrets, shm: two are mounted at /dev/shm",
        ),
        (
            "kubeflow.all_steps.volumes=[{claim: a, path: /app}]",
            "volumes.0.path: expected a folder such as /data; /app",
        ),
        ("kubeflow.all_steps.volumes=[{claim: a, path: /x/../y}]", "volumes.0.path: expected a folder such as /data"),
        (
            "kubeflow.all_steps.volumes=[{claim: a, path: /x, sub_path: ../y}]",
            "kubeflow.all_steps.volumes.0.sub_path: expected a folder of the volume; received '../y'",
        ),
        ("kubeflow.all_steps.secrets=[{name: s}]", "kubeflow.all_steps.secrets.0.env, path: expected one of the two"),
        (
            "kubeflow.all_steps.tolerations=[{key: gpu}]",
            "kubeflow.all_steps.tolerations.0.key, value: both are needed with operator=Equal",
        ),
        ("kubeflow.all_steps.gpus=1", "kubeflow.all_steps.gpus: unknown key"),
        ("kubeflow.steps.Trainer.accelerator.vertex=L4", "kubeflow.steps.Trainer.accelerator.vertex: string should"),
    ],
)
def test_value_that_no_cluster_takes_is_refused_with_its_path(override, said):
    assert said in refusal(override)

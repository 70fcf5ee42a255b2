"""`vww submit` and `vww runs` against a server that takes and refuses what Kubeflow Pipelines' does."""

import copy
import http.server
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components.dataset import DatasetSummary
from components.drift import Drift
from components.pusher.figures import ClassifierEvaluation
from components.pusher.outcome import Outcome, Publication
from components.quantization.records import Metrics
from components.verdicts import Comparison, Gate, Verdict
from pipeline.cli import main
from tests.faults.emulator import free_port
from tests.pipelines_server import PipelinesServer, Play, RefusedError, check_inputs, parse_pipeline, parse_platform

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "pipeline/clusters"
CONFIG = ROOT / "pipeline/configs/vww_mobilenet_v1_025_96_gray.yaml"
RUN = "00000000-0000-4000-8000-000000000001"
STEPS = ("CocoExampleGen", "Trainer", "MicroPusher")


def pipeline_spec():
    """Three steps, one after the other, and a parameter of every type that a config's can have."""
    tasks = {
        name: {
            "taskInfo": {"name": name},
            "componentRef": {"name": name},
            "cachingOptions": {"enableCache": True},
            **({"dependentTasks": [STEPS[index - 1]]} if index else {}),
        }
        for index, name in enumerate(STEPS)
    }
    return {
        "pipelineInfo": {"name": "tiny"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx-1.21.0",
        "defaultPipelineRoot": "gs://bucket/runs",
        "root": {
            "dag": {"tasks": tasks},
            "inputDefinitions": {
                "parameters": {
                    "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 5},
                    "images": {"parameterType": "STRING", "defaultValue": "gs://bucket/images"},
                }
            },
        },
        "components": {name: {"executorLabel": f"{name}_executor"} for name in STEPS},
        "deploymentSpec": {
            "executors": {
                f"{name}_executor": {"container": {"image": "registry.example/vww:1", "command": ["python"]}}
                for name in STEPS
            }
        },
    }


PLACEMENT = {
    "platforms": {
        "kubernetes": {
            "deploymentSpec": {
                "executors": {"Trainer_executor": {"nodeSelector": {"labels": {"accelerator": "nvidia-l4"}}}}
            }
        }
    }
}


OUTCOME = Outcome(
    dataset=DatasetSummary(
        label_names=("not_person", "person"),
        positive="person",
        label_rule="slim",
        label_rule_version=1,
        label_rule_digest="0" * 64,
        label_rule_in_words="a rule",
        counts={"eval": {"not_person": 50, "person": 50}},
        digest="d",
        fingerprint="f",
        quarantined={},
        dropped={},
        reencoded=0,
        split_digest="5" * 64,
        licenses=(),
    ),
    drift=Drift(baseline=None, features=()),
    verdict=Verdict(
        gates=(Gate(name="gates.int8.min_accuracy", comparison=Comparison.AT_LEAST, limit=0.5, value=0.75),)
    ),
    evaluation=ClassifierEvaluation(metrics=Metrics(examples=100, accuracy=0.8, auc=0.9), change=None, slices={}),
    publication=Publication(
        uri="gs://bucket/releases/tiny/v1",
        version="v1",
        manifest_sha256="1" * 64,
        flatbuffer_sha256="2" * 64,
        already_released=False,
    ),
)
REFUSED = OUTCOME.model_copy(
    update={
        "verdict": Verdict(
            gates=(Gate(name="gates.int8.min_accuracy", comparison=Comparison.AT_LEAST, limit=0.8, value=0.75),)
        ),
        "publication": None,
    }
)


@pytest.fixture
def server():
    made = PipelinesServer()
    yield made
    made.close()


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump_all([pipeline_spec(), PLACEMENT]))
    return path


@pytest.fixture
def vww(tmp_path, monkeypatch, capfd):
    """Runs the command in this process, with a home of its own and without a nap between two questions."""
    import kfp

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / ".config/kfp/context.json"))
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None)
    monkeypatch.setattr("pipeline.kubeflow.follow.time", clock)
    for name in ("KFP_ENDPOINT", "KFP_TOKEN", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    on_interrupt = signal.getsignal(signal.SIGINT)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vww", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err, err
        return SimpleNamespace(code=code, out=out, err=err)

    yield run
    signal.signal(signal.SIGINT, on_interrupt)


@pytest.fixture
def bucket(emulator, monkeypatch):
    """An empty bucket; a function that lays a file into it."""
    from google.cloud.storage import Client

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    client = Client(project="p")
    made = client.create_bucket(f"bucket-{time.monotonic_ns()}")
    return SimpleNamespace(name=made.name, write=lambda path, text: made.blob(path).upload_from_string(text))


def spec_with(**changes):
    return pipeline_spec() | changes


# What is sent.


def test_submit_sends_pipeline_placement_and_parameters_as_the_api_names_them(vww, server, package, golden):
    answer = vww(
        "submit", package, "--host", server.host, "--experiment", "nightly", "--name", "first",
        "--service-account", "pipeline-runner", "--set-parameter", "epochs=2", "--pipeline-root", "minio://mlpipeline/v2",
    )  # fmt: skip
    assert (answer.code, answer.out) == (0, f"{server.host}/#/runs/details/{RUN}\n")
    assert answer.err == f"run {RUN}, 3 steps\n"
    assert server.bodies("POST", "/apis/v2beta1/experiments") == [{"display_name": "nightly", "namespace": ""}]
    (sent,) = server.bodies("POST", "/apis/v2beta1/runs")
    golden("submit/run.json", json.dumps(sent, indent=1, sort_keys=True) + "\n")


def test_submit_compiles_a_config_and_the_server_takes_every_step_of_it(vww, server):
    section = (CLUSTERS / "gke_l4.yaml").read_text()
    answer = vww(
        "submit", CONFIG, "--host", server.host, "--label", "team=vision", "--set", f"kubeflow={section}",
        "--set", "kubeflow.pipeline_root=gs://artifacts/vww", "--set", "kubeflow.image=registry/vww:1",
        "--set", "kubeflow.steps.Trainer.image=registry/vww:1-gpu", "--set", "release.uri=gs://data/releases",
        "--set", "data.annotations=gs://data/a.json", "--set", "data.images=gs://data/images",
        "--set-parameter", "epochs=2",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert answer.out == f"{server.host}/#/runs/details/{RUN}\n"
    (sent,) = server.bodies("POST", "/apis/v2beta1/runs")
    assert sent["runtime_config"] == {"parameters": {"epochs": 2}, "pipeline_root": "gs://artifacts/vww"}
    assert len(sent["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]) == 10
    executors = sent["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["podMetadata"] == {"labels": {"team": "vision"}}


def test_submit_takes_root_experiment_and_name_from_the_pipeline_where_none_is_given(vww, server, package):
    assert vww("submit", package, "--host", server.host).code == 0
    assert vww("submit", package, "--host", server.host).code == 0
    first, second = server.bodies("POST", "/apis/v2beta1/runs")
    assert first["runtime_config"] == {"parameters": {}, "pipeline_root": "gs://bucket/runs"}
    assert first["display_name"].startswith("tiny 20")
    assert "service_account" not in first
    assert [e["display_name"] for e in server.experiments.values()] == ["tiny"]  # made once
    assert first["experiment_id"] == second["experiment_id"]


def test_submit_without_cache_switches_it_off_for_every_step(vww, server, package):
    vww("submit", package, "--host", server.host)
    vww("submit", package, "--host", server.host, "--no-cache")
    cached, anew = (
        [task.get("cachingOptions") for task in body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"].values()]
        for body in server.bodies("POST", "/apis/v2beta1/runs")
    )
    assert cached == [{"enableCache": True}] * 3
    assert anew == [{}] * 3  # false is the default, which JSON leaves out


def test_submit_puts_labels_on_the_pods_of_every_step_beside_their_placement(vww, server, package):
    vww("submit", package, "--host", server.host, "--label", "team=vision", "--label", "example.org/cost=42")
    (sent,) = server.bodies("POST", "/apis/v2beta1/runs")
    executors = sent["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {f"{name}_executor" for name in STEPS}
    assert all(
        each["podMetadata"] == {"labels": {"team": "vision", "example.org/cost": "42"}} for each in executors.values()
    )
    assert executors["Trainer_executor"]["nodeSelector"] == {"labels": {"accelerator": "nvidia-l4"}}


def test_submit_shows_a_token_of_the_environment_or_of_a_file_read_anew(vww, package, tmp_path, monkeypatch):
    server = PipelinesServer(needs=("authorization", "Bearer s3cret"))
    monkeypatch.setenv("KFP_ENDPOINT", server.host)
    refused = vww("submit", package)
    assert refused.code == 1
    assert refused.err.startswith(f"ClusterError: {server.host} refuses (401 Unauthorized): Unauthenticated")
    assert "--token-file FILE or KFP_TOKEN" in refused.err
    monkeypatch.setenv("KFP_TOKEN", "s3cret")
    assert vww("submit", package).code == 0
    file = tmp_path / "token"
    file.write_text("wrong\n")
    assert vww("submit", package, "--token-file", file).code == 1
    file.write_text("s3cret\n")
    assert vww("submit", package, "--token-file", file).code == 0
    assert len(server.runs) == 2
    assert "s3cret" not in b"".join(each.body for each in server.received).decode()
    server.close()


def test_submit_uses_what_the_kfp_command_keeps_where_no_token_is_given(vww, package, tmp_path):
    server = PipelinesServer(needs=("x-goog-authenticated", "me"))
    assert vww("submit", package, "--host", server.host).code == 1
    context = tmp_path / ".config/kfp/context.json"
    context.parent.mkdir(parents=True)
    context.write_text(
        json.dumps({
            "namespace": "",
            "client_authentication_header_name": "x-goog-authenticated",
            "client_authentication_header_value": "me",
        })
    )  # fmt: skip
    assert vww("submit", package, "--host", server.host).code == 0
    server.close()


def test_submit_to_a_server_of_several_people_names_the_namespace(vww, package):
    server = PipelinesServer(multi_user=True)
    refused = vww("submit", package, "--host", server.host)
    assert (refused.code, "empty namespace" in refused.err) == (1, True)
    assert vww("submit", package, "--host", server.host, "--namespace", "vision").code == 0
    assert [each["namespace"] for each in server.experiments.values()] == ["vision"]
    server.close()


# Hosts that are not what they should be: one error, at once.


def serve_html():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><HTML>welcome</HTML>")

        def log_message(self, *_):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made


def self_signed(folder):
    """A server's side of TLS, with a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_submit_to_a_host_that_is_down_fails_at_once(vww, package):
    began = time.monotonic()
    answer = vww("submit", package, "--host", f"http://127.0.0.1:{free_port()}")
    assert time.monotonic() - began < 3
    assert answer.code == 1
    assert "does not answer: Connection refused" in answer.err
    assert "hint: kubectl port-forward" in answer.err
    assert answer.out == ""


def test_submit_to_a_web_page_is_told_that_it_is_not_kubeflow_pipelines(vww, package):
    page = serve_html()
    answer = vww("submit", package, "--host", f"http://127.0.0.1:{page.server_port}")
    page.shutdown()
    page.server_close()
    assert answer.code == 1
    assert "is not Kubeflow Pipelines: it answers /apis/v2beta1/healthz with a page of HTML" in answer.err


def test_submit_to_a_host_that_accepts_and_stays_silent_gives_up(vww, package, monkeypatch):
    monkeypatch.setattr("pipeline.kubeflow.server._ANSWER_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        answer = vww("submit", package, "--host", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert answer.code == 1
    assert "does not answer: Read timed out" in answer.err


def test_submit_to_a_host_that_speaks_no_tls_is_told_to_leave_it_out(vww, server, package):
    answer = vww("submit", package, "--host", server.host.replace("http://", "https://"))
    assert answer.code == 1
    assert "does not speak TLS" in answer.err
    assert f"hint: --host {server.host}\n" in answer.err


def test_submit_to_a_host_whose_certificate_nobody_vouches_for_names_the_flag_for_it(vww, package, tmp_path):
    page = serve_html()
    page.socket = self_signed(tmp_path).wrap_socket(page.socket, server_side=True)
    answer = vww("submit", package, "--host", f"https://localhost:{page.server_port}")
    page.shutdown()
    page.server_close()
    assert answer.code == 1
    assert "cannot be trusted: " in answer.err
    assert "hint: --ca-cert FILE" in answer.err


def test_submit_without_a_host_or_with_a_page_of_it_is_a_usage_error(vww, package):
    assert vww("submit", package).code == 2
    answer = vww("submit", package, "--host", "http://localhost:8080/#/runs")
    assert answer.code == 2
    assert "without a page of it" in answer.err


# Pipelines that would be refused there are refused here.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schemaVersion": "2.0.0"}, "schemaVersion is '2.0.0'"),
        ({"components": {"Trainer": {"executorLabel": "Trainer_executor"}}}, "refers to the component"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_submit_refuses_a_pipeline_that_was_edited_by_hand(vww, server, package, change, message):
    package.write_text(yaml.safe_dump(spec_with(**change)))
    answer = vww("submit", package, "--host", server.host)
    assert answer.code == 2
    assert message in answer.err
    assert not server.runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set-parameter", "colour=red"], "NAME one of epochs, images"),
        (["--set-parameter", "epochs"], "NAME=VALUE"),
        (["--set-parameter", "epochs=many"], "a value of type NUMBER_INTEGER"),
        (["--set-parameter", "epochs=true"], "a value of type NUMBER_INTEGER"),
        (["--set-parameter", "epochs=1.5"], "a value of type NUMBER_INTEGER"),
        (["--set-parameter", "epochs=-3"], "received epochs=-3"),
        (["--set-parameter", "images="], "received images=\n"),
        (["--set-parameter", "images=set/images"], "images=set/images is out of reach of CocoExampleGen: no volume"),
        (["--set-parameter", "images=s3://b/x"], "hint: --set-parameter images=gs://BUCKET/PATH\n"),
        (["--pipeline-root", "/tmp/runs"], "gs://BUCKET/PREFIX, s3://"),
        (["--label", "team"], "KEY=VALUE as Kubernetes takes it"),
        (["--target", "vertex"], "was compiled for kubeflow"),
    ],
)
def test_submit_refuses_what_it_cannot_send_before_it_asks_anybody(vww, package, arguments, message):
    answer = vww("submit", package, "--host", f"http://127.0.0.1:{free_port()}", *arguments)
    assert answer.code == 2
    assert message in answer.err


@pytest.mark.parametrize("root", ["/tmp/x", "gs://a bucket/x", 4])
def test_submit_refuses_a_root_of_the_file_that_no_pod_reaches_unless_another_is_given(vww, server, package, root):
    package.write_text(yaml.safe_dump(spec_with(defaultPipelineRoot=root)))
    answer = vww("submit", package, "--host", server.host)
    assert answer.code == 2
    assert f"tiny.yaml: defaultPipelineRoot is {root}" in answer.err
    assert not server.received


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": 4}, "root holds 4"),
        ({"root": [1]}, "root holds [1]"),
        ({"root": {"dag": {"tasks": None}}}, "root.dag.tasks holds nothing"),
        ({"root": {"inputDefinitions": {"parameters": None}}}, "root.inputDefinitions.parameters holds nothing"),
        ({"root": {"inputDefinitions": {"parameters": {"a": None}}}}, "parameters.a holds nothing"),
        ({"root": {"dag": {"tasks": {1: {}}}}}, "root.dag.tasks holds {1: {}}"),
        ({"deploymentSpec": {"executors": [1]}}, "deploymentSpec.executors holds [1]"),
        ({"pipelineInfo": "tiny"}, "pipelineInfo holds 'tiny'"),
    ],
)
def test_submit_names_the_place_where_a_file_holds_no_mapping(vww, package, change, message):
    package.write_text(yaml.safe_dump(spec_with(**change)))
    answer = vww("submit", package, "--host", "http://127.0.0.1:1")
    assert answer.code == 2
    assert f"{package}: " in answer.err
    assert message in answer.err


@pytest.mark.parametrize("value", [4, None, [], "/data/x"])
def test_submit_refuses_a_default_that_no_step_could_use(vww, package, value):
    spec = pipeline_spec()
    spec["root"]["inputDefinitions"]["parameters"]["images"]["defaultValue"] = value
    package.write_text(yaml.safe_dump(spec))
    answer = vww("submit", package, "--host", "http://127.0.0.1:1")
    assert (answer.code, f"images={value}" in answer.err) == (2, True)


def test_submit_takes_images_on_a_volume_of_the_step_that_reads_them(vww, server, package):
    mount = {"pvcNameParameter": {"runtimeValue": {"constant": "c"}}, "constant": "c", "mountPath": "/data"}
    executors = {"CocoExampleGen_executor": {"pvcMount": [mount]}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    package.write_text(yaml.safe_dump_all([pipeline_spec(), platform]))
    assert vww("submit", package, "--host", server.host, "--set-parameter", "images=/data/x").code == 0
    answer = vww("submit", package, "--host", server.host, "--set-parameter", "images=/data/../x")
    assert (answer.code, "no volume of the step holds it" in answer.err) == (2, True)
    executors["CocoExampleGen_executor"]["pvcMount"] = 4
    package.write_text(yaml.safe_dump_all([pipeline_spec(), platform]))
    answer = vww("submit", package, "--host", server.host)
    assert (answer.code, "CocoExampleGen_executor.pvcMount holds 4" in answer.err) == (2, True)


def test_submit_names_the_place_in_a_second_document_and_in_a_job(vww, package, tmp_path):
    package.write_text(yaml.safe_dump_all([pipeline_spec(), {"platforms": {"kubernetes": [1]}}]))
    answer = vww("submit", package, "--host", "http://127.0.0.1:1")
    assert (answer.code, "second document: platforms.kubernetes holds [1]" in answer.err) == (2, True)
    job = tmp_path / "job.json"
    job.write_text('{"pipelineSpec": 4}')
    answer = vww("submit", job, "--target", "vertex")
    assert (answer.code, "job.json: pipelineSpec holds 4" in answer.err) == (2, True)


@pytest.mark.parametrize("text", ["pipelineInfo: {", "- pipelineInfo: 1", "pipelineInfo: 1\n---\n2"])
def test_submit_refuses_a_file_that_is_no_compiled_pipeline(vww, package, text):
    package.write_text(text)
    answer = vww("submit", package, "--host", "http://127.0.0.1:1")
    assert answer.code == 2
    assert "compiled pipeline" in answer.err


def test_submit_of_a_config_that_is_not_there_or_wrong_is_an_error_of_the_config(vww, tmp_path):
    absent = vww("submit", tmp_path / "absent.yaml", "--host", "http://127.0.0.1:1")
    assert (absent.code, "absent.yaml" in absent.err) == (2, True)
    (tmp_path / "empty.yaml").write_text("name: tiny\n")
    assert vww("submit", tmp_path / "empty.yaml", "--host", "http://127.0.0.1:1").code == 2


def test_submit_of_a_compiled_pipeline_takes_no_settings_of_a_config(vww, package):
    answer = vww("submit", package, "--host", "http://127.0.0.1:1", "--set", "trainer.epochs=2")
    assert answer.code == 2
    assert "--set-parameter" in answer.err


def test_server_refuses_what_the_real_one_refuses():
    good = pipeline_spec()
    check_inputs(parse_pipeline(copy.deepcopy(good)), {"epochs": 3})
    parse_platform(PLACEMENT)
    resolver = {"executors": {"Trainer_executor": {"resolver": {}}}}
    for bad in (
        spec_with(schemaVersion="2.0.0"),
        spec_with(pipelineInfo={}),
        spec_with(colour="red"),
        spec_with(deploymentSpec=resolver),
        {key: value for key, value in good.items() if key != "root"},
    ):
        with pytest.raises(RefusedError):
            parse_pipeline(bad)
    for inputs in ({"epochs": "3"}, {"epochs": True}, {"colour": "red"}):
        with pytest.raises(RefusedError):
            check_inputs(parse_pipeline(good), inputs)
    with pytest.raises(RefusedError):
        parse_platform({"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"x": {"nodes": 1}}}}}})


# Following a run to its verdict.

PLAY = [
    {"CocoExampleGen": "RUNNING"},
    {"CocoExampleGen": "SUCCEEDED", "Trainer": "RUNNING"},
    {"CocoExampleGen": "SUCCEEDED", "Trainer": "RUNNING"},
    {"CocoExampleGen": "SUCCEEDED", "Trainer": "SUCCEEDED", "MicroPusher": "SUCCEEDED"},
]


def submit_and_wait(vww, server, package, bucket, outcome):
    server.play = Play(scenes=list(PLAY))
    # As provisionOutputs in backend/src/v2/driver lays it out, with the driver's random part.
    bucket.write(f"runs/tiny/{RUN}/MicroPusher/5b1c/pushed_model/outcome.json", outcome)
    return vww("submit", package, "--host", server.host, "--pipeline-root", f"gs://{bucket.name}/runs/", "--wait")


def test_wait_tells_every_change_of_a_step_and_ends_with_the_release(vww, server, package, bucket):
    answer = submit_and_wait(vww, server, package, bucket, OUTCOME.to_json())
    assert answer.code == 0
    lines = [" ".join(line.split()) for line in answer.err.splitlines()]
    assert lines == [
        f"run {RUN}, 3 steps",
        "CocoExampleGen running",
        "CocoExampleGen succeeded 90 s",
        "Trainer running",
        "Trainer succeeded 90 s",
        "MicroPusher succeeded 90 s",
    ]
    assert answer.out.splitlines()[0].endswith(RUN)
    assert "Released: gs://bucket/releases/tiny/v1" in answer.out
    assert "releases show tiny v1 --uri gs://bucket/releases" in answer.out


def test_wait_for_a_model_that_a_gate_refused_ends_with_3_and_names_the_gate(vww, server, package, bucket):
    answer = submit_and_wait(vww, server, package, bucket, REFUSED.to_json())
    assert answer.code == 3
    assert "Refused: nothing was released." in answer.out
    assert "gates.int8.min_accuracy: 0.75 is not >= 0.8" in answer.out


def test_wait_says_so_where_the_verdict_cannot_be_read(vww, server, package, bucket):
    assert "outcome.json below gs://" in submit_and_wait(vww, server, package, bucket, "{}").err
    empty = vww("submit", package, "--host", server.host, "--pipeline-root", f"gs://{bucket.name}/else", "--wait")
    assert (empty.code, "no outcome.json lies below" in empty.err) == (1, True)
    minio = vww("submit", package, "--host", server.host, "--pipeline-root", "minio://mlpipeline/v2", "--wait")
    assert minio.code == 1
    assert "whether the model was released cannot be told from here: its verdict lies below minio://" in minio.err


def test_wait_for_a_run_that_fails_names_the_step(vww, server, package):
    server.play = Play(scenes=[*PLAY[:2], {"CocoExampleGen": "SUCCEEDED", "Trainer": "FAILED"}], end="FAILED")
    answer = vww("submit", package, "--host", server.host, "--wait")
    assert answer.code == 1
    assert f"ClusterError: run {RUN} failed at Trainer" in answer.err
    assert f"hint: the step's log is at {server.host}/#/runs/details/{RUN}" in answer.err


def test_wait_outlasts_a_server_that_is_away_for_a_while(vww, server, package):
    server.play, server.outages = Play(scenes=list(PLAY), end="FAILED"), 2
    answer = vww("submit", package, "--host", server.host, "--wait")
    assert answer.err.count("is not well (503 Service Unavailable); asking again") == 1
    assert "Trainer" in answer.err


def test_wait_outlasts_a_token_file_that_is_being_replaced(vww, package, tmp_path, monkeypatch):
    server = PipelinesServer(needs=("authorization", "Bearer first"))
    file = tmp_path / "token"
    file.write_text("first")
    vww("submit", package, "--host", server.host, "--token-file", file)
    server.play = Play(scenes=list(PLAY), end="FAILED")
    server.needs = None
    changes = iter([file.unlink, file.touch, lambda: file.write_text("a\nb"), lambda: file.write_text("second")])
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: next(changes, int)())
    monkeypatch.setattr("pipeline.kubeflow.follow.time", clock)
    answer = vww("runs", "show", RUN, "--wait", "--host", server.host, "--token-file", file)
    server.close()
    assert f"cannot read --token-file {file}: No such file or directory; asking again" in answer.err
    assert f"ClusterError: run {RUN} failed" in answer.err
    assert {each.headers["authorization"] for each in server.received[-4:]} == {"Bearer second"}


def test_wait_that_begins_without_a_token_in_the_file_is_a_usage_error(vww, server, tmp_path):
    answer = vww("runs", "show", RUN, "--wait", "--host", server.host, "--token-file", tmp_path / "absent")
    assert (answer.code, len(server.received)) == (2, 0)


def test_wait_that_is_refused_halfway_says_that_the_run_goes_on(vww, server, package):
    server.play = Play(scenes=[PLAY[0], PLAY[1], {"Trainer": "EXPIRED"}])
    answer = vww("submit", package, "--host", server.host, "--wait")
    assert answer.code == 1
    assert f"no longer following; the run goes on at {server.host}/#/runs/details/{RUN}" in answer.err
    assert "ClusterError: " in answer.err
    assert "refuses (401 Unauthorized): token expired" in answer.err


def test_interrupted_wait_leaves_the_run_alone_and_says_how_to_go_on(server, package, tmp_path):
    server.play = Play(scenes=[{"CocoExampleGen": "RUNNING"}] * 1000)
    code = "import sys; from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, "submit", package, "--host", server.host, "--wait"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"HOME": str(tmp_path)}
    ) as process:
        told = ""
        while "CocoExampleGen" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"no longer following; the run goes on at {server.host}/#/runs/details/{RUN}" in rest
    assert f"runs show {RUN} --wait --host {server.host}" in rest
    assert f"runs cancel {RUN} --host {server.host}" in rest
    assert server.runs[RUN]["state"] == "RUNNING"
    assert "Traceback" not in rest


# vww runs.


def test_runs_are_listed_newest_first_shown_and_cancelled(vww, server, package):
    for name in ("first", "second"):
        vww("submit", package, "--host", server.host, "--name", name)
    listed = vww("runs", "list", "--host", server.host)
    assert listed.code == 0
    assert [line.split()[1] for line in listed.out.splitlines() if line.startswith("0000")] == ["second", "first"]
    server.play = Play(scenes=[PLAY[1], PLAY[1]])
    shown = vww("runs", "show", RUN, "--host", server.host)
    assert shown.code == 0
    assert shown.out.startswith("first: running")
    assert any(line.split()[:2] == ["CocoExampleGen", "succeeded"] for line in shown.out.splitlines())
    cancelled = vww("runs", "cancel", RUN, "--host", server.host)
    assert cancelled.code == 0
    assert server.runs[RUN]["state"] == "CANCELING"
    assert vww("runs", "show", RUN, "--host", server.host).out.startswith("first: canceled")
    again = vww("runs", "cancel", RUN, "--host", server.host)
    assert (again.code, f"run {RUN} has ended already: canceled" in again.err) == (1, True)


def test_show_of_a_run_that_nobody_knows_is_one_error(vww, server):
    answer = vww("runs", "show", "nobody", "--host", server.host)
    assert answer.code == 1
    assert "Run nobody not found" in answer.err


ODD = {"run_id": "odd", "display_name": "odd", "created_at": "2026-11-22T03:04:05Z"}


def test_runs_in_a_state_that_is_new_are_shown_with_the_word_of_the_server(vww, server):
    tasks = [{"display_name": "Trainer", "state": "THAWING"}, {"display_name": "Trainer-driver", "state": "SUCCEEDED"}]
    run = ODD | {"state": "SOMETHING_NEW", "run_details": {"task_details": tasks}}
    server.answers = {
        "/apis/v2beta1/runs": {"runs": [run, ODD | {"run_id": "even", "state": "FAILED"}]},
        "/apis/v2beta1/runs/odd": run,
    }
    listed = vww("runs", "list", "--host", server.host)
    assert listed.code == 0
    assert "unknown (SOMETHING_NEW)" in listed.out
    assert "failed" in listed.out
    shown = vww("runs", "show", "odd", "--host", server.host)
    assert (shown.code, shown.out.splitlines()[0]) == (0, "odd: unknown (SOMETHING_NEW)")
    assert "unknown (THAWING)" in shown.out


def test_wait_for_a_run_that_has_ended_in_a_state_that_is_new_ends(vww, server):
    server.answers["/apis/v2beta1/runs/odd"] = ODD | {"state": "FROZEN", "finished_at": "2026-11-22T04:04:05Z"}
    answer = vww("runs", "show", "odd", "--wait", "--host", server.host)
    assert (answer.code, "ClusterError: run odd unknown (FROZEN)" in answer.err) == (1, True)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"<!doctype html><HTML>", "answers run odd with a page of HTML"),
        ([1, 2], "answers run odd with no object of JSON"),
        ({}, "with one that has no id"),
        (ODD | {"run_details": {"task_details": 5}}, "answers run odd with JSON that its client cannot read"),
        (ODD | {"created_at": "yesterday"}, "cannot read: Failed to parse `yesterday` as datetime"),
    ],
)
def test_show_of_what_is_no_run_says_that_this_is_not_kubeflow_pipelines(vww, server, told, message):
    server.answers["/apis/v2beta1/runs/odd"] = told
    answer = vww("runs", "show", "odd", "--host", server.host)
    assert (answer.code, answer.out) == (1, "")
    assert f"{server.host} is not Kubeflow Pipelines: it answers " in answer.err
    assert message in answer.err
    assert "--ca-cert" not in answer.err


def test_list_that_is_a_page_of_html_is_not_kubeflow_pipelines(vww, server):
    server.answers["/apis/v2beta1/runs"] = b"<html>"
    answer = vww("runs", "list", "--host", server.host)
    assert (answer.code, "answers its runs with a page of HTML" in answer.err) == (1, True)


def test_show_of_a_run_of_an_uploaded_pipeline_says_below_what_its_verdict_lies(vww, server):
    server.answers["/apis/v2beta1/runs/odd"] = ODD | {
        "state": "SUCCEEDED",
        "pipeline_version_reference": {"pipeline_id": "p", "pipeline_version_id": "v"},
        "runtime_config": {"pipeline_root": "gs://bucket/runs"},
    }
    answer = vww("runs", "show", "odd", "--host", server.host)
    assert "started from an uploaded pipeline" in answer.err
    assert "outcome.json below gs://bucket/runs/PIPELINE/RUN/MicroPusher/" in answer.err

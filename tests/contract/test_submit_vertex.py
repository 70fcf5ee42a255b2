"""`vww submit --target vertex` against a server that parses the job as Vertex AI's API declares it."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import json_format

from pipeline.cli import main
from pipeline.kubeflow.run_status import describe_state
from tests.contract.test_submit import OUTCOME, pipeline_spec
from tests.pipelines_server import parse_pipeline

NUMBER = "123456"  # of the project


class VertexServer:
    """Google's token server, the pipeline jobs of one project, and a bucket that holds the first job's outcome."""

    def __init__(self):
        self.jobs = {}
        self.scenes = []
        self.queries = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = server.answer(self.command, urlsplit(self.path), body)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method, parts, body):
        if parts.path == "/token":
            return 200, {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
        if "/storage/v1/b/" in parts.path:
            return self._answer_about_bucket(parts)
        if method == "POST":
            return self._create(parts, json.loads(body))
        job = self.jobs.get(parts.path.rsplit("/", 1)[-1])
        if job is None:
            return 404, {"error": {"code": 404, "message": "no such job", "status": "NOT_FOUND"}}
        if self.scenes:
            job |= self.scenes.pop(0)
        return 200, job

    def _answer_about_bucket(self, parts):
        if parts.path.startswith("/download/"):
            return 200, OUTCOME.to_json().encode()
        if not parts.path.endswith("/o"):
            return 403, {}  # as for an account that may use the bucket and not see whose it is
        prefix = f"runs/{NUMBER}/{next(iter(self.jobs))}/MicroPusher_"
        assert parse_qs(parts.query)["prefix"] == [prefix]
        return 200, {"items": [{"name": f"{prefix}-42/pushed_model/outcome.json", "updated": "2026-11-22T03:04:05Z"}]}

    def _create(self, parts, job):
        from google.cloud.aiplatform_v1.types import PipelineJob

        assert parts.path == "/v1/projects/my-project/locations/europe-west4/pipelineJobs"
        json_format.ParseDict(job, PipelineJob.pb()())
        parse_pipeline(job["pipelineSpec"])
        if job.get("serviceAccount") == "nobody":
            return 400, {"error": {"code": 400, "message": "service account not found", "status": "INVALID_ARGUMENT"}}
        (job_id,) = parse_qs(parts.query)["pipelineJobId"]
        name = f"projects/{NUMBER}/locations/europe-west4/pipelineJobs/{job_id}"
        self.jobs[job_id] = json.loads(json.dumps(job)) | {"name": name, "state": "PIPELINE_STATE_PENDING"}
        return 200, self.jobs[job_id]


@pytest.fixture
def server(monkeypatch, tmp_path):
    made = VertexServer()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = tmp_path / "account.json"
    account.write_text(
        json.dumps({
            "type": "service_account", "client_email": "a@b", "private_key": pem, "token_uri": f"{made.url}/token",
        })
    )  # fmt: skip
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", made.url)
    from google.cloud import aiplatform

    aiplatform.init(api_endpoint=made.url, api_transport="rest")
    yield made
    made.close()


@pytest.fixture
def vww(monkeypatch, capfd):
    monkeypatch.setattr(
        "pipeline.kubeflow.follow.time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None)
    )

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vww", "submit", *map(str, arguments), "--target", "vertex"])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err, err
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"displayName": "tiny", "pipelineSpec": pipeline_spec(), "runtimeConfig": {}}))
    return path


def states(job, **tasks):
    return {
        "state": f"PIPELINE_STATE_{job}",
        "jobDetail": {
            "taskDetails": [
                {
                    "taskId": str(index),
                    "taskName": name,
                    "state": state,
                    "createTime": f"2026-11-22T03:0{index}:00Z",
                    "startTime": f"2026-11-22T03:0{index}:00Z",
                    "endTime": f"2026-11-22T03:0{index}:30Z",
                }
                for index, (name, state) in enumerate(tasks.items())
            ]
        },
    }


def test_vertex_job_is_submitted_followed_and_ends_with_the_release(vww, server, package):
    server.scenes = [states("RUNNING", Trainer="RUNNING"), states("SUCCEEDED", Trainer="SUCCEEDED")]
    where = ("--project", "my-project", "--region", "europe-west4")
    answer = vww(
        package, *where, "--pipeline-root", "gs://bucket/runs", "--label", "team=vision", "--no-cache",
        "--service-account", "runner@my-project", "--set-parameter", "epochs=2", "--name", "first", "--wait",
    )  # fmt: skip
    ((job_id, job),) = server.jobs.items()
    assert answer.code == 0
    assert answer.out.startswith(
        "https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/"
        f"{job_id}?project=my-project\n"
    )
    assert (job["displayName"], job["labels"]) == ("first", {"team": "vision"})
    assert job["serviceAccount"] == "runner@my-project"
    assert job["runtimeConfig"] == {
        "gcsOutputDirectory": "gs://bucket/runs", "parameterValues": {"epochs": 2.0},
    }  # fmt: skip
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"].values()
    assert [task["cachingOptions"] for task in tasks] == [{"enableCache": False}] * 3
    assert [" ".join(line.split()) for line in answer.err.splitlines()[2:]] == [
        "Trainer running", "Trainer succeeded 30 s",
    ]  # fmt: skip
    assert "Released: gs://bucket/releases/tiny/v1" in answer.out


def test_vertex_job_that_fails_tells_the_step_and_its_error(vww, server, package):
    failed = states("FAILED", Trainer="FAILED")
    failed["jobDetail"]["taskDetails"][0]["error"] = {"code": 9, "message": "out of memory"}
    server.scenes = [states("RUNNING", Trainer="RUNNING"), failed]
    answer = vww(package, "--project", "my-project", "--region", "europe-west4", "--wait")
    assert answer.code == 1
    assert "Trainer             running" in answer.err
    assert "failed at Trainer: out of memory" in answer.err


def test_vertex_that_refuses_the_job_is_one_error(vww, server, package):
    where = ("--project", "my-project", "--region", "europe-west4")
    answer = vww(package, *where, "--service-account", "nobody")
    assert answer.code == 1
    assert "\nClusterError: Vertex AI refuses: " in answer.err
    assert answer.err.endswith(": service account not found\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--project ID --region"),
        (["--label", "Team=vision"], "KEY=VALUE as Vertex AI takes it"),
        (["--pipeline-root", "minio://mlpipeline/v2"], "gs://BUCKET/PREFIX"),
    ],
)
def test_vertex_submission_that_says_too_little_or_the_wrong_thing_is_a_usage_error(vww, package, arguments, message):
    answer = vww(package, *arguments)
    assert answer.code == 2
    assert message in answer.err


def test_vertex_without_credentials_is_one_error(vww, package, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    answer = vww(package, "--project", "my-project", "--region", "europe-west4")
    assert answer.code == 1
    assert answer.err.startswith("asking Vertex AI in europe-west4\nClusterError: Vertex AI is not told who asks")


def test_vertex_without_a_network_is_told_at_once(vww, server, package):
    server.close()
    began = time.monotonic()
    answer = vww(package, "--project", "my-project", "--region", "europe-west4")
    assert time.monotonic() - began < 10  # Google's client alone tries for two minutes
    assert answer.code == 1
    assert "NoAnswerError: Google does not answer when it is asked for a token: Connection refused\n" in answer.err


@pytest.mark.filterwarnings("ignore:Unrecognized PipelineState")
def test_vertex_job_in_a_state_that_is_newer_than_the_client_is_told_by_its_number():
    from google.cloud.aiplatform_v1.types import PipelineJob

    from pipeline.kubeflow.vertex_runs import _run_status

    job = PipelineJob(name=f"projects/{NUMBER}/locations/europe-west4/pipelineJobs/1")
    PipelineJob.pb(job).state = 99
    assert describe_state(_run_status(job)) == "unknown (99)"

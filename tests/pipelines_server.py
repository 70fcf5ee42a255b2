"""A server that takes what Kubeflow Pipelines' API server takes, refuses what it refuses, and keeps every byte.

Bodies are held against the wire names and types of `kfp_server_api`'s models, specs against the protos, and both
documents strictly. The refusals are those of backend/src/apiserver/template/v2_template.go (`NewV2SpecTemplate`,
`validatePipelineJobInputs`) and backend/src/apiserver/server.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

_KINDS = {
    "STRING": str,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}
_NEVER = "1970-01-01T00:00:00Z"


class RefusedError(Exception):
    """An answer that is an error, as the API words it."""

    def __init__(self, status, code, message):
        self.status = status
        self.body = {"error": message, "code": code, "message": message, "details": []}


def invalid(message):
    return RefusedError(400, 3, f"Invalid input error: {message}")


@dataclass
class Received:
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes


@dataclass
class Play:
    """What a run does: with every question, one more of `scenes`: states of steps; then the run is in `end`."""

    scenes: list = field(default_factory=list)
    end: str = "SUCCEEDED"


class PipelinesServer:
    def __init__(self, *, needs=None, multi_user=False):
        self.needs = needs  # a header and the value that opens the door
        self.multi_user = multi_user
        self.received = []
        self.experiments = {}
        self.runs = {}
        self.play = Play()
        self.answers = {}  # by path, in the place of its own
        self.outages = 0  # so many questions about runs are answered by the gateway: 503
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.host = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def bodies(self, method, path):
        return [json.loads(each.body) for each in self.received if (each.method, each.path) == (method, path)]

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self):
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Received(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
                server.received.append(request)
                try:
                    odd = server.answers.get(request.path)
                    status, answer = 200, server.answer(request) if odd is None else odd
                except RefusedError as refusal:
                    status, answer = refusal.status, refusal.body
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, request):
        if self.needs is not None and request.headers.get(self.needs[0]) != self.needs[1]:
            raise RefusedError(401, 16, "Unauthenticated: Request header error: there is no valid identity")
        match request.method, request.path.removeprefix("/apis/v2beta1/"):
            case "GET", "healthz":
                return {"multi_user": self.multi_user}
            case "GET", "experiments":
                return self._find_experiments(request.query)
            case "POST", "experiments":
                return self._create_experiment(request.body)
            case "GET", "runs":
                newest = list(self.runs.values())[::-1][: int(request.query["page_size"][0])]
                return {"runs": newest, "total_size": len(self.runs)}
            case "POST", "runs":
                return self._create_run(request.body)
            case method, path:
                return self._answer_about_run(method, path)

    def _find_experiments(self, query):
        (predicate,) = json.loads(query["filter"][0])["predicates"]
        assert (predicate["key"], predicate["operation"]) == ("display_name", 1)
        return {"experiments": [e for e in self.experiments.values() if e["display_name"] == predicate["stringValue"]]}

    def _create_experiment(self, body):
        experiment = parse(body, kfp_server_api.V2beta1Experiment)
        if not experiment.get("display_name"):
            raise invalid("Experiment name is empty. Please specify a valid experiment name")
        if experiment.get("namespace") and not self.multi_user:
            raise invalid("In single-user mode, CreateExperimentRequest shouldn't contain namespace")
        if self.multi_user and not experiment.get("namespace"):
            raise invalid("Experiment has an empty namespace")
        experiment["experiment_id"] = f"experiment-{len(self.experiments) + 1}"
        self.experiments[experiment["experiment_id"]] = experiment
        return experiment

    def _create_run(self, body):
        run = parse(body, kfp_server_api.V2beta1Run)
        if not run.get("display_name"):
            raise invalid("Run name is empty. Please specify a valid name")
        if run.get("experiment_id") not in self.experiments:
            raise RefusedError(404, 5, f"Experiment {run.get('experiment_id')} not found")
        source = run["pipeline_spec"]
        both = source if "pipeline_spec" in source else {"pipeline_spec": source, "platform_spec": {}}
        check_inputs(parse_pipeline(both["pipeline_spec"]), run["runtime_config"].get("parameters", {}))
        parse_platform(both["platform_spec"])
        run_id = f"00000000-0000-4000-8000-{len(self.runs) + 1:012}"
        self.runs[run_id] = run | {
            "run_id": run_id,
            "state": "PENDING",
            "created_at": "2026-11-22T03:04:05Z",
            "finished_at": _NEVER,
        }
        return self.runs[run_id]

    def _answer_about_run(self, method, path):
        found = re.fullmatch(r"runs/([^:/]+)(:terminate)?", path)
        if found is None:
            raise RefusedError(404, 5, "Not Found")
        if self.outages:
            self.outages -= 1
            raise RefusedError(503, 14, "")
        if found[1] not in self.runs:
            raise RefusedError(404, 5, f"Failed to get a run: ResourceNotFoundError: Run {found[1]} not found")
        run = self.runs[found[1]]
        if method == "POST":
            run["state"] = "CANCELING"
            self.play = Play(end="CANCELED")
            return {}
        if self.play.scenes and "EXPIRED" in self.play.scenes[0].values():
            raise RefusedError(401, 16, "token expired")
        if self.play.scenes:
            run["state"] = "RUNNING"
            run["run_details"] = {"task_details": workflow_nodes(found[1], self.play.scenes.pop(0))}
        else:
            run |= {"state": self.play.end, "finished_at": "2026-11-22T04:04:05Z"}
        return run


def parse(body, model):
    """A body, if every name in it is one that the model has on the wire, and every value of its type."""
    value = json.loads(body)
    check_value(value, model.__name__, model.__name__)
    return value


def check_value(value, kind, where):
    if kind == "object":
        return
    if kind.startswith(("dict(", "list[")):
        inner = kind[5:-1].removeprefix("str, ")
        if not isinstance(value, dict if kind.startswith("dict(") else list):
            raise invalid(f"{where} is no {kind}")
        for each in value.values() if isinstance(value, dict) else value:
            check_value(each, inner, where)
    elif kind in {"str", "int", "bool", "datetime"}:
        if not isinstance(value, {"str": str, "int": int, "bool": bool, "datetime": str}[kind]):
            raise invalid(f"{where} is no {kind}: {value!r}")
    else:
        check_message(value, getattr(kfp_server_api, kind), where)


def check_message(value, model, where):
    if not model.openapi_types:
        if value not in model.allowable_values:
            raise invalid(f"{where}: {value!r} is no {model.__name__}")
        return
    kinds = {wire: model.openapi_types[name] for name, wire in model.attribute_map.items()}
    for name, each in value.items():
        if name not in kinds:
            raise invalid(f'unknown field "{name}" in {where}')
        check_value(each, kinds[name], f"{where}.{name}")


def parse_pipeline(tree):
    spec = strictly(tree, pipeline_spec_pb2.PipelineSpec(), "invalid v2 pipeline spec")
    if spec.schema_version != "2.1.0":
        raise invalid(
            f"KFP only supports schema version 2.1.0, but the pipeline spec has version {spec.schema_version}"
        )
    if re.search(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", spec.pipeline_info.name) is None:
        raise invalid("invalid v2 pipeline spec: name is empty")
    if not spec.HasField("root"):
        raise invalid("invalid v2 pipeline spec: root component is empty")
    deployment = json_format.MessageToDict(spec.deployment_spec)
    config = strictly(deployment, pipeline_spec_pb2.PipelineDeploymentConfig(), "invalid deployment spec")
    for name, executor in config.executors.items():
        if executor.WhichOneof("spec") not in {"container", "importer"}:
            raise invalid(f"{name}: non-container and non-importer executor not implemented")
    return spec


def parse_platform(tree):
    platforms = strictly(tree, pipeline_spec_pb2.PlatformSpec(), "cannot unmarshal platform specific configs").platforms
    for executor in platforms["kubernetes"].deployment_spec.executors.values() if platforms else ():
        message = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
        strictly(json_format.MessageToDict(executor), message, "failed to unmarshal kubernetes config")


def strictly(tree, message, what):
    try:
        return json_format.ParseDict(tree, message)
    except json_format.ParseError as error:
        raise invalid(f"{what}: {error}") from error


def check_inputs(spec, given):
    declared = spec.root.input_definitions.parameters
    for name, parameter in declared.items():
        if name not in given:
            if not parameter.is_optional and not parameter.HasField("default_value"):
                raise invalid(
                    f"parameter {name} is not optional, yet has neither default value nor user provided value"
                )
            continue
        kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(parameter.parameter_type)
        is_bool = isinstance(given[name], bool)
        if not isinstance(given[name], _KINDS[kind]) or (is_bool and kind != "BOOLEAN"):
            raise invalid(f"input parameter {name} requires type {kind}, but the parameter value is not of it")
    for name in given:
        if name not in declared:
            raise invalid(f"parameter(s) provided are not required by pipeline: {name}")


def workflow_nodes(run_id, states):
    """The nodes of the workflow as api_converter.go gives them: a driver beside each step, and an `executor`."""
    nodes = {"root-driver": "SUCCEEDED", "root": "RUNNING"}
    for name, state in states.items():
        nodes |= {f"{name}-driver": "SUCCEEDED", name: state}
    details = [
        {
            "run_id": run_id,
            "task_id": f"task-{index}",
            "display_name": name,
            "create_time": "2026-11-22T03:04:05Z",
            "start_time": f"2026-11-22T03:{4 + index:02}:05Z",
            "end_time": f"2026-11-22T03:{5 + index:02}:35Z" if state in {"SUCCEEDED", "FAILED"} else _NEVER,
            "state": state,
            "execution_id": "0",
            "inputs": {},
            "outputs": {},
            "child_tasks": [],
        }
        for index, (name, state) in enumerate(nodes.items())
    ]
    return [*details, details[-1] | {"task_id": "task-99", "display_name": "executor"}]

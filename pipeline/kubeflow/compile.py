"""From a config to what Kubeflow Pipelines or Vertex AI runs: TFX's compiler, then what TFX does not write."""

import json
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration import data_types, pipeline
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

from pipeline.config import RunConfig
from pipeline.graph import create_pipeline
from pipeline.kubeflow.facts import cluster_facts
from pipeline.kubeflow.invariants import check_spec
from pipeline.kubeflow.options import KubeflowOptions, StepName, Target
from pipeline.kubeflow.parameters import add_images, add_parameters
from pipeline.kubeflow.placement import place_step, pod_settings
from pipeline.kubeflow.reach import check_reach, kubeflow_section, pipeline_name
from pipeline.kubeflow.requests import CompiledPipeline, CompileRequest

ENTRY_POINT = ["python", "-m", "components.kubeflow.step"]
_INPUTS_OPTION = "--json_serialized_inputs_spec_args"
# What they do depends on what lies outside of the pipeline, and is not known when a cache is asked.
UNCACHED: tuple[StepName, ...] = ("CocoExampleGen", "ReleasedModel", "MicroPusher")


def answer_request(request: CompileRequest) -> CompiledPipeline:
    """Compiles, and says what came of it."""
    text = compile_pipeline(request.config, request.target)
    root = check_spec(text).pipeline.root
    return CompiledPipeline(
        text=text, tasks=tuple(sorted(root.dag.tasks)), parameters=tuple(sorted(root.input_definitions.parameters))
    )


def compile_pipeline(config: RunConfig, target: Target) -> str:
    """The pipeline of a config, for a target.

    Args:
      config: with a section `kubeflow`.
      target: `kubeflow` gives YAML, a PipelineSpec and, where a step asks for it, a second document that places its
        pod; `vertex` gives a PipelineJob as JSON.

    Returns:
      The same bytes for the same config and code.

    Raises:
      ConfigError: if a step could not use what the config names.
      DataError: if class folders cannot be listed from here.
    """
    check_reach(config, target)
    kubeflow = kubeflow_section(config)
    job = _compile(create_pipeline(_on_cluster(config, kubeflow), cluster_facts(config)), config, kubeflow)
    spec = json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    deployment = json_format.ParseDict(
        job["pipelineSpec"]["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    add_parameters(spec, config)
    add_images(spec, deployment, kubeflow, target)
    for step, task in spec.root.dag.tasks.items():
        container = deployment.executors[f"{step}_executor"].container
        container.args[:] = _arguments(step, list(container.args), spec.components[step].input_definitions)
        place_step(task, container, kubeflow.step(step), target)
        if step in UNCACHED:
            task.ClearField("caching_options")
    spec.default_pipeline_root = kubeflow.pipeline_root
    spec.deployment_spec.Clear()
    spec.deployment_spec.update(json_format.MessageToDict(deployment))
    job["pipelineSpec"] = json_format.MessageToDict(spec)
    text = _job_text(job) if target == "vertex" else _spec_text(job["pipelineSpec"], _pods(spec, kubeflow))
    check_spec(text)
    return text


def _on_cluster(config: RunConfig, kubeflow: KubeflowOptions) -> RunConfig:
    """The same run, its working files where a step has them."""
    return config.model_copy(update={"run": config.run.model_copy(update={"root": kubeflow.work_dir})})


def _compile(definition: pipeline.Pipeline, config: RunConfig, kubeflow: KubeflowOptions) -> dict[str, Any]:
    definition.pipeline_info = data_types.PipelineInfo(
        pipeline_name=pipeline_name(config), pipeline_root=kubeflow.pipeline_root
    )
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=kubeflow.image, default_commands=ENTRY_POINT, use_pipeline_spec_2_1=True
        )
    )
    job: dict[str, Any] = runner.run(definition, write_out=False)
    return job


def _arguments(step: str, args: list[str], inputs: Any) -> list[str]:
    """TFX's arguments, with the step's name, and with all its inputs, those that TFX did not know of included."""
    args[args.index(_INPUTS_OPTION) + 1] = json_format.MessageToJson(inputs, sort_keys=True, indent=None)
    return ["--step", step, *args]


def _pods(spec: Any, kubeflow: KubeflowOptions) -> dict[str, Any]:
    """The second document; empty where the cluster may place every step as it likes."""
    settings = {f"{step}_executor": pod_settings(kubeflow.step(step)) for step in sorted(spec.root.dag.tasks)}
    executors = {executor: each for executor, each in settings.items() if each}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}} if executors else {}


def _spec_text(spec: dict[str, Any], pods: dict[str, Any]) -> str:
    text = yaml.safe_dump_all([spec, pods] if pods else [spec], sort_keys=True, width=120, allow_unicode=True)
    return f"# {spec['pipelineInfo']['name']}, for Kubeflow Pipelines; written by `vww compile`\n{text}"


def _job_text(job: dict[str, Any]) -> str:
    return json.dumps(job, sort_keys=True, indent=1) + "\n"

"""The pipeline: which components, in what order, with which settings. It reads top to bottom like README's picture."""

from dataclasses import dataclass

from tensorflow_model_analysis.proto.config_pb2 import EvalConfig
from tfx.components import StatisticsGen, Trainer, Transform, Tuner
from tfx.orchestration import metadata, pipeline
from tfx.proto import trainer_pb2

from components.code_digest import code_digest
from components.data_validation.component import DataGate
from components.data_validation.schema import CuratedSchema, raw_schema_text, statistics_schema_text
from components.data_validation.statistics import statistics_options
from components.evaluator.component import BaselineEvaluator
from components.example_gen.component import CocoExampleGen
from components.gate_options import DeviceBudget
from components.in_step import InStep
from components.pusher.component import MicroPusher
from components.pusher.executor import DetectorJob, PushJob
from components.pusher.options import CodeVersion
from components.pusher.released_model import ReleasedModel
from components.trainer.budget import BudgetJob
from components.trainer.budget_gate import BudgetGate
from components.trainer.job import TrainingJob
from components.trainer.tuner_options import TunerOptions
from components.transform.options import TransformJob
from pipeline.budget import budget_job
from pipeline.config import RunConfig
from pipeline.gates import detector_eval_config, eval_config


@dataclass(frozen=True)
class RunFacts:
    """What is only known when a run starts; on a cluster, `IN_STEP` stands for what is not known before.

    Attributes:
      run_id: of this run.
      dataset_fingerprint: changes when the data changes.
      released_version: the baseline; None while nothing was released.
      code: which code runs.
      label_names: of the data, at least 2.
      started_utc: when the run began, such as `2026-11-22T03:04:05Z`.
      initial_weights_sha256: of the weights that training starts from; None where they are random.
      measures_refused: whether a model that is refused is trained and measured all the same.
      gpus: how many of them the Trainer asked for, and must see.
      tuner_gpus: the same of the Tuner.
    """

    run_id: str
    dataset_fingerprint: str
    released_version: str | None
    code: CodeVersion | InStep
    label_names: tuple[str, ...]
    started_utc: str
    initial_weights_sha256: str | None = None
    measures_refused: bool = False
    gpus: int = 0
    tuner_gpus: int = 0

    @property
    def label_count(self) -> int:
        """How many labels the data has."""
        return len(self.label_names)


def create_pipeline(config: RunConfig, facts: RunFacts) -> pipeline.Pipeline:
    """The graph of one run, for any runner."""
    # Would the model fit its device? Asked of random weights, before anything is spent on it.
    budget_gate = BudgetGate(
        job=_budget_job(config, facts), code_digest=code_digest("trainer", "quantization", "detection")
    )
    # Label, split and write the images as examples.
    example_gen = CocoExampleGen(
        options=config.data,
        dataset_fingerprint=facts.dataset_fingerprint,
        code_digest=code_digest("example_gen"),
    )
    example_gen.add_upstream_node(budget_gate)
    # The schemas that are checked in, not ones inferred from the data that they should judge.
    schema = CuratedSchema(
        raw_text=raw_schema_text(facts.label_count), statistics_text=statistics_schema_text(facts.label_count)
    )
    # Decode, gray, resize, round to 8 bits; the same graph serves training, evaluation and export.
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema.outputs["raw"],
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        custom_config={
            "job": TransformJob(options=config.transform, task=config.task).to_json(),
            "code_digest": code_digest("transform"),
        },
        disable_analyzer_cache=True,
        disable_statistics=True,
    )
    # What the images that the model will see are like: brightness, contrast, size, labels, objects.
    statistics_gen = StatisticsGen(
        examples=transform.outputs["transformed_examples"],
        schema=schema.outputs["statistics"],
        stats_options=statistics_options(),
    )
    # The baseline: what is released now, if anything is, and the statistics of what it was trained on.
    released_model = ReleasedModel(
        release_uri=config.release_uri,
        model_name=config.name,
        version=facts.released_version,
        trusted_keys=config.release.trusted_keys,
    )
    # An anomaly, or too much drift from what the released model was trained on, stops the run here.
    example_validator = DataGate(
        statistics=statistics_gen.outputs["statistics"],
        released_statistics=released_model.outputs["statistics"],
        schema=schema.outputs["statistics"],
        gates=config.gates.data,
        code_digest=code_digest("data_validation"),
    ).with_id("ExampleValidator")
    # Search the trainer's settings, where the config says so.
    tuner = None if config.tuner is None else _tuner(config, config.tuner, facts, transform)
    # Train, or go on training, keep the best epoch, export.
    trainer = Trainer(
        run_fn="components.trainer.run_fn.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=None if tuner is None else tuner.outputs["best_hyperparameters"],
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
        custom_config={
            "job": _training_job(config, facts).to_json(),
            "code_digest": code_digest("trainer", "quantization", "detection"),
            "checkpoint_root": f"{config.run.root}/checkpoints",
            "gpus": facts.gpus,
        },
    )
    for node in [trainer] if tuner is None else [tuner, trainer]:
        node.add_upstream_node(example_validator)
    # Judge the float model, alone and against the baseline.
    evaluator = BaselineEvaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=released_model.outputs["model"],
        eval_config=_eval_config(config, facts),
        schema=schema.outputs["raw"],
        code_digest=code_digest("evaluator", "detection"),
    ).with_id("Evaluator")
    # Quantize, judge the int8 file under TFLite Micro, release what passed to staging.
    pusher = MicroPusher(
        model=trainer.outputs["model"],
        statistics=statistics_gen.outputs["statistics"],
        anomalies=example_validator.outputs["anomalies"],
        blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        released_model=released_model.outputs["model"],
        examples=example_gen.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        hyperparameters=None if tuner is None else tuner.outputs["best_hyperparameters"],
        job=_push_job(config, facts),
        code_digest=code_digest("pusher", "quantization", "detection"),
    )
    return pipeline.Pipeline(
        pipeline_name=config.name,
        pipeline_root=f"{config.run.root}/artifacts",
        components=[
            budget_gate,
            example_gen,
            schema,
            transform,
            statistics_gen,
            released_model,
            example_validator,
            *([] if tuner is None else [tuner]),
            trainer,
            evaluator,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(f"{config.run.root}/metadata.sqlite"),
        beam_pipeline_args=config.beam.arguments(),
    )


def _eval_config(config: RunConfig, facts: RunFacts) -> EvalConfig:
    if config.task == "detection":
        return detector_eval_config(config.gates.float_, facts.label_names)
    return eval_config(config.gates.float_, facts.label_count)


def _budget_job(config: RunConfig, facts: RunFacts) -> BudgetJob:
    limits = config.gates.int8.device_budget
    if facts.measures_refused:  # the MicroPusher refuses, once the accuracy is known
        limits = DeviceBudget(**dict.fromkeys(DeviceBudget.model_fields))
    return budget_job(config, facts.label_count, limits)


def _tuner(config: RunConfig, options: TunerOptions, facts: RunFacts, transform: Transform) -> Tuner:
    return Tuner(
        tuner_fn="components.trainer.tuning.tuner_fn",
        examples=transform.outputs["transformed_examples"],
        custom_config={
            "job": _training_job(config, facts).to_json(),
            "tuner": options.to_json(),
            "code_digest": code_digest("trainer", "quantization", "detection"),
            "checkpoint_root": f"{config.run.root}/checkpoints",
            "gpus": facts.tuner_gpus,
        },
    )


def _training_job(config: RunConfig, facts: RunFacts) -> TrainingJob:
    training = config.transform.training_raster
    return TrainingJob(
        trainer=config.trainer,
        side=config.transform.side,
        channels=config.transform.channels,
        label_count=facts.label_count,
        seed=config.run.seed,
        training_raster_shape=None if training is None else (training.side, training.side, training.channels),
        initial_weights_sha256=facts.initial_weights_sha256,
        # The float model has no part in that operator, and need not be trained again for it.
        decoder=config.release.decoder.model_copy(update={"postprocess_op": False}),
        categories=config.data.categories if config.task == "detection" else None,
    )


def _detector_job(config: RunConfig) -> DetectorJob | None:
    detector = config.trainer.detector
    if detector is None:
        return None
    return DetectorJob(backbone=config.trainer.backbone, network=detector.network)


def _push_job(config: RunConfig, facts: RunFacts) -> PushJob:
    return PushJob(
        model=config.name,
        release=config.release,
        release_uri=config.release_uri,
        gates=config.gates,
        side=config.transform.side,
        channels=config.transform.channels,
        seed=config.run.seed,
        detector=_detector_job(config),
        run_id=facts.run_id,
        run_root=config.run.root,
        started_utc=facts.started_utc,
        code=facts.code,
        config_yaml=config.to_yaml(),
        measures_refused=facts.measures_refused,
    )

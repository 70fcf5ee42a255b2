"""Executor of the MicroPusher."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tensorflow.io import gfile
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.components.util import model_utils
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import features
from components.dataset import DatasetSummary
from components.detection.anchors import AnchorMap
from components.detection.feature_maps import anchor_maps
from components.detection.options import DetectorNetwork
from components.drift import DRIFT_FILE, Drift
from components.errors import ConfigError, ModelError
from components.exported_model import check_saved_model, read_weights_sha256
from components.gate_options import GateOptions
from components.hyperparameters import BEST_HYPERPARAMETERS, chosen_values
from components.in_step import IN_STEP, InStep
from components.options import Options
from components.pusher.classifier_scoring import ClassifierScoring
from components.pusher.code_version import code_version
from components.pusher.detector_scoring import DetectorScoring
from components.pusher.float_verdict import float_gates, read_evaluation
from components.pusher.int8_verdict import int8_gates
from components.pusher.judgement import Judgement, judge
from components.pusher.layer_losses import find_layer_losses
from components.pusher.manifest import RunRecord
from components.pusher.options import CodeVersion, ReleaseOptions
from components.pusher.outcome import CANDIDATE_FILE, OUTCOME_FILE, Outcome, Publication
from components.pusher.publishing import publish_to_staging
from components.pusher.released_model import released_version, run_started_utc
from components.pusher.scoring import Scoring
from components.pusher.staging import ReleaseFacts, stage_release
from components.pusher.stores import open_store
from components.pusher.training_statistics import canonical_statistics
from components.pusher.tuned_config import tuned_config
from components.transformed_examples import split_files
from components.verdicts import Verdict


class DetectorJob(Options):
    """What a detector's anchors follow from.

    Attributes:
      backbone: of its network.
      network: what stands on it.
    """

    backbone: str
    network: DetectorNetwork


class PushJob(Options):
    """Everything that the MicroPusher has to know, as one JSON exec property.

    Attributes:
      model: name of the model, and of its folder in the release store.
      release: the config section `release`.
      release_uri: the release store.
      gates: the config section `gates`.
      side: of the rasters, in pixels.
      channels: of the rasters.
      seed: which images calibrate.
      detector: what a detector is made of; None of a classifier.
      run_id: of the run; also keeps a publication from being served from a cache.
      run_root: where the run writes.
      started_utc: when the run began.
      code: which code runs.
      config_yaml: the run's resolved config.
      measures_refused: whether the int8 flatbuffer is measured although the data or the float model was refused.
    """

    model: str
    release: ReleaseOptions
    release_uri: str
    gates: GateOptions
    side: int
    channels: int
    seed: int
    detector: DetectorJob | None
    run_id: str
    run_root: str
    started_utc: str
    code: CodeVersion | InStep
    config_yaml: str
    measures_refused: bool


class Executor(BaseExecutor):  # type: ignore[misc]  # TFX publishes no types
    """Judges the int8 flatbuffer that would ship, and publishes it to staging only if every gate agrees."""

    def Do(  # noqa: N802  # TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Writes the artifact that `components.pusher.outcome` shows, and a release if the candidate passed.

        Raises:
          ConfigError: if nobody said which run this is.
          ModelError: if the model that is to be measured is damaged; one that cannot be converted or run is refused.
        """
        job = PushJob.from_json(exec_properties["job"])
        _check_run_id(job)
        evaluation = read_evaluation(artifact_utils.get_single_uri(input_dict["evaluation"]))
        blessed = model_utils.is_model_blessed(artifact_utils.get_single_instance(input_dict["blessing"]))
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        drift = _read_drift(artifact_utils.get_single_uri(input_dict["anomalies"]))
        dataset = DatasetSummary.read(artifact_utils.get_single_uri(input_dict["examples"]))
        counts = [dataset.counts[features.EVAL][name] for name in dataset.label_names]
        gates = float_gates(evaluation, job.gates.float_, job.gates.on, counts)
        verdict = Verdict(gates=(*drift.gates, *gates))
        if verdict.passed and not blessed:
            verdict = Verdict(gates=verdict.gates, refusals=("the Evaluator did not bless the float model",))
        outcome = Outcome(
            dataset=dataset,
            drift=drift,
            verdict=verdict,
            evaluation=evaluation,
        )
        if verdict.passed or job.measures_refused:
            outcome = self._judge(job, outcome, input_dict, Path(pushed.uri))
        with gfile.GFile(f"{pushed.uri}/{OUTCOME_FILE}", "w") as file:
            file.write(outcome.model_dump_json(indent=2) + "\n")
        pushed.set_int_custom_property("pushed", int(outcome.publication is not None))
        if outcome.publication is not None:
            pushed.set_string_custom_property("pushed_destination", outcome.publication.uri)
            pushed.set_string_custom_property("pushed_version", outcome.publication.version)
            for key in ("manifest_sha256", "flatbuffer_sha256"):
                pushed.set_string_custom_property(key, getattr(outcome.publication, key))

    def _judge(self, job: PushJob, outcome: Outcome, input_dict: dict[str, Any], pushed_dir: Path) -> Outcome:
        """What becomes of a candidate whose int8 flatbuffer is to be measured."""
        transformed, examples = (
            {split: split_files(artifact_utils.get_single_uri(input_dict[key]), split) for split in features.SPLITS}
            for key in ("transformed_examples", "examples")
        )
        saved_model_dir = Path(path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"])))
        check_saved_model(saved_model_dir)
        gates, refusals = outcome.verdict.gates, outcome.verdict.refusals
        try:
            judgement = judge(
                saved_model_dir,
                transformed,
                examples,
                shape=(job.side, job.side, job.channels),
                scoring=_scoring(job, outcome.dataset),
                options=job.release,
                seed=job.seed,
            )
        except ModelError as error:
            return outcome.model_copy(update={"verdict": Verdict(gates=gates, refusals=(*refusals, error.message))})
        (pushed_dir / CANDIDATE_FILE).write_bytes(judgement.flatbuffer)
        if judgement.pictures is not None:
            judgement.pictures.write(pushed_dir)
        verdict = Verdict(
            gates=(*gates, *int8_gates(judgement, job.gates.int8, job.gates.on)),
            refusals=(*refusals, *judgement.refusals),
        )
        judged = outcome.model_copy(
            update={
                "verdict": verdict,
                "figures": judgement.figures,
                "footprint": judgement.footprint,
                "parity": judgement.parity,
                "slimming": judgement.slimming,
            }
        )
        if not verdict.passed and job.measures_refused:  # for a sweep, which reads figures and mends nothing
            return judged
        if not verdict.passed:
            losses = find_layer_losses(
                judgement.flatbuffer,
                saved_model_dir,
                transformed[features.EVAL],
                (job.side, job.side, job.channels),
                verdict.gates,
                time_limit_s=job.release.tflm_time_limit_s,
            )
            return judged.model_copy(update={"layer_losses": losses})
        statistics = _read_training_statistics(artifact_utils.get_single_instance(input_dict["statistics"]))
        chosen = _read_hyperparameters(input_dict.get("hyperparameters"))
        publication = self._publish(
            job,
            saved_model_dir,
            judgement,
            statistics,
            judged,
            tuned=chosen,
            released_model=artifact_utils.get_single_instance(input_dict["released_model"]),
            initial_weights_sha256=read_weights_sha256(artifact_utils.get_single_uri(input_dict["model"])),
        )
        return judged.model_copy(update={"publication": publication})

    def _publish(
        self,
        job: PushJob,
        saved_model_dir: Path,
        judgement: Judgement,
        training_statistics: bytes,
        judged: Outcome,
        *,
        tuned: dict[str, Any] | None,
        released_model: Any,
        initial_weights_sha256: str | None,
    ) -> Publication:
        baseline = released_version(released_model)
        started_utc = run_started_utc(released_model) if job.started_utc == IN_STEP else job.started_utc
        facts = ReleaseFacts(
            model=job.model,
            created_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            run=RunRecord(pipeline_run_id=job.run_id, root=job.run_root, started_utc=started_utc),
            code=code_version() if job.code == IN_STEP else job.code,
            baseline=baseline,
            config_yaml=tuned_config(job.config_yaml, tuned),
            initial_weights_sha256=initial_weights_sha256,
            tuned=tuned,
        )
        store = open_store(job.release_uri)
        with tempfile.TemporaryDirectory() as folder:
            manifest = stage_release(
                Path(folder),
                saved_model_dir=saved_model_dir,
                judgement=judgement,
                dataset=judged.dataset,
                drift=judged.drift,
                training_statistics=training_statistics,
                gates=judged.verdict.gates,
                options=job.release,
                maps=_anchor_maps(job),
                facts=facts,
            )
            published = publish_to_staging(
                store, manifest, Path(folder), job.release, baseline=baseline, by=f"run {job.run_id}"
            )
        return Publication(
            uri=published.uri,
            version=manifest.version,
            # Where the release had been there before, the manifest is that of the run that made it.
            manifest_sha256=published.manifest_sha256,
            flatbuffer_sha256=manifest.files[manifest.golden.flatbuffer].sha256,
            already_released=published.already_published,
        )


def _check_run_id(job: PushJob) -> None:
    if job.run_id == IN_STEP:
        raise ConfigError(
            "the MicroPusher was not told which run it is part of",
            expected="the input set__job__run_id, which the compiled pipeline binds to the run's id",
            hint="the pipeline was edited; compile it anew",
        )


def _anchor_maps(job: PushJob) -> tuple[AnchorMap, ...] | None:
    return None if job.detector is None else anchor_maps(job.detector.backbone, job.side, job.detector.network)


def _scoring(job: PushJob, dataset: DatasetSummary) -> Scoring[Any]:
    maps, rate = _anchor_maps(job), job.release.max_false_alarm_rate
    if maps is None:
        return ClassifierScoring(dataset, rate)
    return DetectorScoring(dataset.label_names, maps, job.release.decoder, rate)


def _read_drift(anomalies_uri: str) -> Drift:
    with gfile.GFile(f"{anomalies_uri}/{DRIFT_FILE}") as file:
        return Drift.from_json(file.read())


def _read_hyperparameters(artifacts: list[Any] | None) -> dict[str, Any] | None:
    if not artifacts:
        return None
    with gfile.GFile(f"{artifact_utils.get_single_uri(artifacts)}/{BEST_HYPERPARAMETERS}") as file:
        return chosen_values(json.loads(file.read()))


def _read_training_statistics(artifact: Any) -> bytes:
    with gfile.GFile(f"{artifact_utils.get_split_uri([artifact], features.TRAIN)}/{DEFAULT_FILE_NAME}", "rb") as file:
        return canonical_statistics(file.read())

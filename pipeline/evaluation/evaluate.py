"""Judges any model on a split with the Evaluator's metrics and slices: `vww evaluate`."""

import math
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components import features, progress
from components.errors import DataError, ModelError
from components.example_gen.image_bytes import check_image
from components.example_gen.plan import DatasetPlan, LabeledImage, plan_dataset
from components.example_gen.quarantine import BadRecord
from components.example_gen.storage import FileReader
from pipeline.config import RunConfig
from pipeline.evaluation.models import Classifier, open_classifier, probabilities
from pipeline.evaluation.report import EvaluationReport, EvaluationRequest, SliceMetrics

_DECODED_AT_ONCE = 512


@dataclass(frozen=True)
class _Judged:
    images: list[LabeledImage]
    probabilities: npt.NDArray[np.float64]
    left_out: int


def evaluate(request: EvaluationRequest) -> EvaluationReport:
    """Plans the set as a run would, shows the model every image of one split, and measures.

    Raises:
      DataError: if the set cannot be used, or the split holds no image.
      ModelError: if it is no model, or one of another number of labels.
    """
    plan = plan_dataset(request.config.data, lambda done, total: progress.report(done, total, "images looked at"))
    images = [image for image in plan.records if image.split == request.split]
    if not images:
        raise DataError(
            f"the {request.split} split holds no image",
            expected="one of " + ", ".join(f"{name} ({sum(c):,} images)" for name, c in plan.counts.items()),
            hint="--split chooses another; data.splits in the config makes them",
        )
    classifier = open_classifier(request.what, request.input_range)
    progress.say(f"{classifier.description}, {'x'.join(map(str, classifier.shape))}")
    judged = _judge(classifier, images, plan)
    if judged.left_out:
        progress.say(f"{judged.left_out:,} of {len(images):,} images are bad and left out")
    return EvaluationReport(
        model=classifier.description,
        split=request.split,
        labels=plan.label_names,
        left_out=judged.left_out,
        slices=_measure(judged, request.config, len(plan.label_names)),
    )


def _judge(classifier: Classifier, images: list[LabeledImage], plan: DatasetPlan) -> _Judged:
    """The model's probabilities of every image, decoded as Transform would at the model's own size."""
    import tensorflow as tf

    from components.rasters import rasterize

    side, _, channels = classifier.shape
    reader = FileReader()
    seen: list[LabeledImage] = []
    answers: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(images), _DECODED_AT_ONCE):
        rasters = []
        for image in images[start : start + _DECODED_AT_ONCE]:
            try:
                data = reader.read_image(image.path)
                checked = check_image(data, width=image.record.width, height=image.record.height)
            except BadRecord:
                continue
            rasters.append(rasterize(tf.constant(checked.data), side, channels).numpy())
            seen.append(image)
            progress.report(start + len(rasters), len(images), "images")
        if rasters:
            answers.append(classifier.answer(np.stack(rasters)))
            _check_labels(classifier, max(answers[0].shape[1], 2), plan)
    if not answers:
        raise DataError("no image of the split could be decoded", hint="vww data report CONFIG says why")
    return _Judged(seen, probabilities(np.concatenate(answers)), len(images) - len(seen))


def _check_labels(classifier: Classifier, count: int, plan: DatasetPlan) -> None:
    if count != len(plan.label_names):
        raise ModelError(
            f"{classifier.description} knows {count} labels",
            expected=f"the {len(plan.label_names)} of the data: {', '.join(plan.label_names)}",
        )


def _measure(judged: _Judged, config: RunConfig, label_count: int) -> tuple[SliceMetrics, ...]:
    """TFMA's metrics by slice, as the Evaluator is told to compute them, but with no thresholds."""
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_model_analysis as tfma
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.gate_options import FloatGates
    from pipeline.gates import eval_config

    wanted = eval_config(FloatGates(min_accuracy=0.0, max_accuracy_drop=None), label_count)
    wanted.model_specs[0].signature_name = ""
    wanted.model_specs[0].prediction_key = features.PROBABILITIES
    table = pa.RecordBatch.from_pydict(
        {
            features.LABEL: [[image.label] for image in judged.images],
            features.LARGEST_OBJECT: [[image.bucket.encode()] for image in judged.images],
            features.PROBABILITIES: judged.probabilities.astype(np.float32).tolist(),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=PipelineOptions(config.beam.arguments())) as pipeline:
            _ = (
                pipeline
                | beam.Create([table])
                | tfma.ExtractEvaluateAndWriteResults(eval_config=wanted, output_path=folder)
            )
        return tuple(sorted(map(_read_slice, tfma.load_metrics(folder)), key=lambda row: row.slice))


def _read_slice(record: Any) -> SliceMetrics:
    name = ",".join(part.bytes_value.decode() for part in record.slice_key.single_slice_keys)
    values = {}
    for entry in record.metric_keys_and_values:
        if entry.value.HasField("double_value"):
            label = f"_{entry.key.sub_key.class_id.value}" if entry.key.sub_key.HasField("class_id") else ""
            value = entry.value.double_value.value
            # A slice by size holds one label only, for which TFMA's AUC says 0.
            undefined = math.isnan(value) or (entry.key.name == "auc" and name != "")
            values[entry.key.name + label] = None if undefined else value
    return SliceMetrics(slice=name, metrics=dict(sorted(values.items())))

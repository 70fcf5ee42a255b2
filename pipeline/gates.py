"""Gates on the float model, as TFMA's EvalConfig."""

import json
from collections.abc import Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from components import features
from components.gate_options import FloatGates
from components.verdicts import ROUNDING


def eval_config(gates: FloatGates, label_count: int) -> config_pb2.EvalConfig:
    """Metrics over the whole eval split and by size of the largest labelled object; gates on the whole split only.

    Of two labels, AUC, precision and recall are those of label 1. Of more, precision and recall are those of each
    label, and AUC is the mean over every label against all others.

    Args:
      gates: the thresholds; those that are None ask nothing.
      label_count: how many labels the model knows, at least 2.
    """
    accuracy = _metric("SparseCategoricalAccuracy", "accuracy", lower_bound=gates.min_accuracy)
    if gates.max_accuracy_drop is not None:
        _bound_drop(accuracy.per_slice_thresholds[0].threshold, gates.max_accuracy_drop)
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name=features.SERVING_SIGNATURE, label_key=features.LABEL)],
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[features.LARGEST_OBJECT])],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    config_pb2.MetricConfig(class_name="ExampleCount"),
                    accuracy,
                    _metric("SparseCategoricalCrossentropy", "loss"),
                ]
            ),
            *_of_labels(_metric("AUC", "auc", lower_bound=gates.min_auc), label_count),
        ],
    )


def detector_eval_config(gates: FloatGates, label_names: Sequence[str]) -> config_pb2.EvalConfig:
    """COCO's figures over the whole eval split and by size of the largest labelled object; gates on the whole only.

    Args:
      gates: the thresholds; those that are None ask nothing.
      label_names: the background first.
    """
    thresholds = {"ap": gates.min_ap, "ap50": gates.min_ap50}
    thresholds |= {f"ap50/{label}": limit for label, limit in gates.min_category_ap50.items()}
    limits = {name: _at_least(limit) for name, limit in thresholds.items() if limit is not None}
    if gates.max_ap_drop is not None:
        _bound_drop(limits.setdefault("ap", config_pb2.MetricThreshold()), gates.max_ap_drop)
    coco = config_pb2.MetricConfig(
        class_name="CocoMetrics",
        module="components.evaluator.metrics",
        config=json.dumps({"name": "coco", "label_names": list(label_names)}),
    )
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name=features.SERVING_SIGNATURE)],
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[features.LARGEST_OBJECT])],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[coco],
                per_slice_thresholds={
                    name: config_pb2.PerSliceMetricThresholds(thresholds=[_on_the_whole(limit)])
                    for name, limit in limits.items()
                },
            )
        ],
    )


def _of_labels(auc: Any, label_count: int) -> list[config_pb2.MetricsSpec]:
    labels = [1] if label_count == 2 else range(label_count)
    by_label = config_pb2.MetricsSpec(
        binarize=config_pb2.BinarizationOptions(class_ids={"values": labels}),
        metrics=[_metric("Precision", "precision"), _metric("Recall", "recall")],
    )
    if label_count == 2:
        by_label.metrics.append(auc)
        return [by_label]
    # Not binarized: the threshold would hold for every label by itself too.
    mean = config_pb2.AggregationOptions(macro_average=True, class_weights=dict.fromkeys(labels, 1.0))
    return [by_label, config_pb2.MetricsSpec(aggregate=mean, metrics=[auc])]


def _metric(class_name: str, name: str, lower_bound: float | None = None) -> Any:
    metric = config_pb2.MetricConfig(class_name=class_name, config=json.dumps({"name": name}))
    if lower_bound is not None:
        metric.per_slice_thresholds.append(_on_the_whole(_at_least(lower_bound)))
    return metric


def _at_least(lower_bound: float) -> Any:
    return config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": lower_bound})
    )


def _bound_drop(threshold: Any, max_drop: float) -> None:
    """Asks, beside what a threshold asks, that the figure falls no further below the baseline's."""
    threshold.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    threshold.change_threshold.absolute.value = -max_drop - ROUNDING


def _on_the_whole(threshold: Any) -> Any:
    """A threshold that holds for the whole split, and for no slice of it."""
    return config_pb2.PerSliceMetricThreshold(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)

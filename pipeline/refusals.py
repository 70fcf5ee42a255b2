"""What a run refuses once it knows what it would train on, before anything is trained."""

from collections.abc import Callable, Iterator
from functools import partial

from components.errors import ConfigError, VwwError
from components.example_gen.plan import DatasetPlan
from components.features import EVAL, TRAIN
from components.pusher.c_bundle.c_names import index_names
from components.pusher.gate_reach import (
    check_detector_gates,
    check_gates,
    check_golden,
    check_operating_point,
)
from components.trainer.batch_size import check_batch_size
from pipeline.anchors import check_anchors
from pipeline.config import RunConfig

_BATCH_SIZE = "trainer.batch_size"


def check_plan(config: RunConfig, plan: DatasetPlan) -> None:
    """Refuses what no model of this data could pass, or no training of it could do.

    Raises:
      ConfigError, ReleaseError: the first of the refusals, a detector's anchors aside.
    """
    for check in _checks(config, plan):
        check()


def find_refusals(config: RunConfig, plan: DatasetPlan) -> Iterator[VwwError]:
    """All that a run would raise of a plan, one after the other, a detector's anchors included."""
    checks = _checks(config, plan)
    if config.trainer.detector is not None:
        checks.append(partial(check_anchors, config, config.trainer.detector, plan))
    for check in checks:
        try:
            check()
        except VwwError as error:
            yield error


def _checks(config: RunConfig, plan: DatasetPlan) -> list[Callable[[], object]]:
    """Each raises one refusal."""
    eval_images = dict(zip(plan.label_names, plan.counts[EVAL], strict=True))
    fits_batch = partial(_check_batch_size, config, sum(plan.counts[TRAIN]))
    golden = config.release.golden_images
    if config.task == "detection":
        # Not one of every label: an image that counts as one label's may show others too.
        shown = {label: count for label, count in eval_images.items() if count}
        return [
            partial(check_detector_gates, config.gates, plan.label_names),
            partial(index_names, plan.label_names[1:], None),
            partial(check_golden, golden, shown),
            fits_batch,
        ]
    return [
        partial(check_gates, config.gates, eval_images),
        partial(check_operating_point, config.release.max_false_alarm_rate, plan.positive, eval_images),
        partial(index_names, plan.label_names, plan.positive),
        partial(check_golden, golden, eval_images),
        fits_batch,
    ]


def _check_batch_size(config: RunConfig, train_images: int) -> None:
    """Of a search, the largest that it may try."""
    searched = None if config.tuner is None else config.tuner.space.get(_BATCH_SIZE)
    if searched is None:
        check_batch_size(config.trainer.batch_size, train_images)
        return
    try:
        check_batch_size(max(searched.extremes), train_images)
    except ConfigError as error:
        raise ConfigError(
            f"tuner.space: {error.message}", expected=error.expected, hint="narrow tuner.space, or bring more images"
        ) from error

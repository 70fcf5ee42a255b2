"""Detection: boxes and labels of all objects, as SSD learns them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components import features
from components.detection.anchor_boxes import anchors_yxhw, to_yxyx
from components.detection.anchors import AnchorMap
from components.detection.coco_metrics import average_precision
from components.detection.detections import Detections
from components.detection.feature_maps import anchor_maps
from components.detection.matches import match_label
from components.detection.options import DecoderOptions
from components.trainer.box_split import BoxSplit, box_batches, read_box_split
from components.trainer.box_targets import BoxTargets
from components.trainer.curves import IMAGES, draw_rasters, pr_curve_metadata, precision_recall
from components.trainer.decoder import decode_batch
from components.trainer.input_pipeline import evaluation_batches
from components.trainer.job import TrainingJob
from components.trainer.objectives.box_losses import box_losses, score_losses
from components.trainer.objectives.box_pictures import draw_detections, draw_truth
from components.trainer.objectives.matching import assign
from components.trainer.objectives.objective import Predict
from components.trainer.options import TrainerOptions


@dataclass(frozen=True)
class DetectorEvaluation:
    """What a detector came to.

    Attributes:
      figures: loss; and `ap` and `ap50`, COCO's on the rasters, left out where the split has no box.
      found: one for each image of the split.
      split: the images.
      label_count: number of labels, the background included.
    """

    figures: Mapping[str, float]
    found: Sequence[Detections]
    split: BoxSplit
    label_count: int

    def write_summaries(self) -> None:
        """Precision and recall of each label at IoU 0.5, and the first images with what is in them and was found."""
        truths = self.split.truths
        for label in range(1, self.label_count):
            matches = match_label(truths, self.found, label, np.array([0.5]))
            counts = ~matches.is_ignored[0]
            is_right = matches.is_right[0, counts]
            missed = int(matches.boxes.sum()) - int(np.count_nonzero(is_right))
            curve = precision_recall(matches.scores[counts].astype(np.float64), is_right, missed=missed)
            tf.summary.write(f"pr_curve/label_{label}", curve, metadata=pr_curve_metadata(label))
        shown = zip(self.split.rasters[:IMAGES], truths[:IMAGES], self.found[:IMAGES], strict=True)
        tf.summary.image("detections", np.stack([draw_detections(*each) for each in shown]), max_outputs=IMAGES)


class DetectorObjective:
    """The loss of the scores and smooth L1 of the boxes, both divided by the matched anchors of the whole batch.

    Args:
      options: how to train.
      maps: the anchors of the model's outputs.
      decoder: how its detections are found.
      label_count: number of labels, the background included.
    """

    def __init__(
        self, options: TrainerOptions, maps: Sequence[AnchorMap], decoder: DecoderOptions, label_count: int
    ) -> None:
        assert options.detector is not None
        self._detector = options.detector
        self._batch_size = options.batch_size
        self._anchors = anchors_yxhw(maps)
        self._anchors_yxyx = tf.constant(to_yxyx(self._anchors))
        self._decoder = decoder
        self._label_count = label_count
        self._evaluated_sums = tf.function(self._sums)
        self._decoded = tf.function(self._decode_batch)

    def size(self, targets: BoxTargets) -> Any:
        """How many anchors are matched."""
        assignment = assign(targets, self._anchors_yxyx, self._detector.match_iou)
        return tf.math.count_nonzero(assignment.is_matched, dtype=tf.float32)

    def loss(self, outputs: Any, targets: BoxTargets, size: Any) -> tuple[Any, dict[str, Any]]:
        """Of `boxes` and `scores` as `models.ssd` has them."""
        scores, boxes, _ = self._sums(outputs, targets)
        scores, boxes = (part / tf.maximum(size, 1.0) for part in (scores, boxes))
        return scores + self._detector.localization_weight * boxes, {"score_loss": scores, "box_loss": boxes}

    def _sums(self, outputs: Any, targets: BoxTargets) -> tuple[Any, Any, Any]:
        """Of the score and box losses, and how many anchors are matched; float32 [] each."""
        assignment = assign(targets, self._anchors_yxyx, self._detector.match_iou)
        scores = score_losses(outputs[features.SCORE_LOGITS], targets, assignment, self._detector.loss)
        boxes = box_losses(outputs[features.ENCODED_BOXES], targets, assignment, tf.constant(self._anchors))
        return (
            tf.reduce_sum(scores),
            tf.reduce_sum(boxes),
            tf.math.count_nonzero(assignment.is_matched, dtype=tf.float32),
        )

    def evaluate(self, predict: Predict, split: BoxSplit) -> DetectorEvaluation:
        """Judges a model by its loss and by its detections."""
        sums = np.zeros(3)
        found: list[Detections] = []
        for images in evaluation_batches(split, batch_size=self._batch_size):
            outputs = predict(images)
            targets = split.targets(slice(len(found), len(found) + len(images)))
            sums += [float(part) for part in self._evaluated_sums(outputs, targets)]
            found += self._decode(outputs)
        scores, boxes, matched = sums
        loss = (scores + self._detector.localization_weight * boxes) / max(matched, 1.0)
        figures = {"loss": float(loss)}
        ap, ap50 = average_precision(split.truths, found, self._label_count)
        figures |= {name: value for name, value in (("ap", ap), ("ap50", ap50)) if value is not None}
        return DetectorEvaluation(figures, found, split, self._label_count)

    def _decode_batch(self, outputs: Any) -> dict[str, Any]:
        encoded, logits = outputs[features.ENCODED_BOXES], outputs[features.SCORE_LOGITS]
        return decode_batch(encoded, logits, self._anchors, self._decoder)

    def _decode(self, outputs: Any) -> list[Detections]:
        decoded = self._decoded(outputs)
        keys = features.DETECTION_BOXES, features.DETECTION_SCORES, features.DETECTION_LABELS
        rows = zip(*(decoded[key].numpy() for key in keys), strict=True)
        return [Detections(*(part[labels > 0] for part in (boxes, scores, labels))) for boxes, scores, labels in rows]

    def describe(self, means: Mapping[str, float], latest: Mapping[str, float] | None) -> str:
        """Loss of the epoch's steps, and the latest epoch's AP."""
        ap = "" if latest is None or "ap" not in latest else f", AP {latest['ap']:.3f}"
        return f"loss {means['loss']:.3f}{ap}"


class DetectionTask:
    """The task of a job, with its images.

    Args:
      job: what to train.
      train_files, eval_files: TFRecord files of transformed examples.
      spill_folder: for decoded images that do not fit in memory.

    Attributes:
      objective, train_split, eval_split: see `objective.Task`.
    """

    def __init__(
        self, job: TrainingJob, train_files: Sequence[str], eval_files: Sequence[str], spill_folder: Path
    ) -> None:
        assert job.trainer.detector is not None
        self._job = job
        self.train_split = read_box_split(
            train_files,
            job.training_raster_shape or job.raster_shape,
            spill_folder / "train.rasters",
            key=features.RASTER if job.training_raster_shape is None else features.TRAINING_RASTER,
        )
        self.eval_split = read_box_split(eval_files, job.raster_shape, spill_folder / "eval.rasters")
        maps = anchor_maps(job.trainer.backbone, job.side, job.trainer.detector)
        self.objective = DetectorObjective(job.trainer, maps, job.decoder, job.label_count)

    def batches(self, first_step: int) -> Any:
        """See `box_split.box_batches`."""
        options = self._job.trainer
        return box_batches(
            self.train_split,
            batch_size=options.batch_size,
            augmentation=options.augmentation,
            seed=self._job.seed,
            shape=self._job.raster_shape,
            first_step=first_step,
        )

    def draw(self, images: Any, targets: BoxTargets) -> npt.NDArray[np.uint8]:
        """The images as the model sees them, with their boxes."""
        rasters = draw_rasters(images[:IMAGES])
        truths = BoxSplit(rasters, *(part[:IMAGES].numpy() for part in targets)).truths
        return np.stack([np.asarray(draw_truth(*each)) for each in zip(rasters, truths, strict=True)])

"""A detector's figures: COCO's, of the float model's detections and of those that the C code would decode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components import features, progress
from components.detection.anchor_boxes import anchors_yxhw
from components.detection.anchors import AnchorMap
from components.detection.coco_metrics import measure_detections, measure_drop
from components.detection.coding import decode_detections
from components.detection.detections import Detections, GroundTruth
from components.detection.fixed_decoder import FixedDecoder
from components.detection.fixed_point import CODES, to_q15
from components.detection.ground_truth import read_ground_truth
from components.detection.operating_point import choose_score, measure_rates
from components.detection.options import DecoderOptions
from components.detection.records import DetectorOperatingPoint
from components.pusher.figures import DetectorFigures
from components.pusher.judged_images import JudgedImages
from components.pusher.pictures import show_detector
from components.pusher.scoring import JudgedSplit, Measured, Outputs, Scoring, answer_pixels
from components.quantization.contracts import TensorContract
from components.quantization.outputs import boxes_and_scores, output_order


@dataclass(frozen=True)
class DetectorSplit(JudgedSplit):
    """One split, what is in its images, and what the float model found in them."""

    truths: list[GroundTruth]
    detections: list[Detections]


@dataclass(frozen=True)
class DetectorScoring(Scoring[DetectorSplit]):
    """How a detector is measured.

    Attributes:
      label_names: the background first.
      maps: its anchors.
      decoder: from outputs to detections, as it ships.
      max_false_detections: of the operating point, for each image; None takes the best F1.
    """

    label_names: tuple[str, ...]
    maps: tuple[AnchorMap, ...]
    decoder: DecoderOptions
    max_false_detections: float | None

    def answer(  # noqa: D102
        self, saved_model_dir: Path, images: JudgedImages, example_files: Sequence[str]
    ) -> DetectorSplit:
        truths = read_ground_truth(example_files)
        found = find_objects(saved_model_dir, images.rasters, self.maps, self.decoder)
        return DetectorSplit(images, [truths[source_id] for source_id in images.source_ids], found)

    def measure(  # noqa: D102
        self,
        splits: Mapping[str, DetectorSplit],
        outputs: Mapping[str, Outputs] | None,
        contracts: tuple[TensorContract, ...],
    ) -> Measured:
        float_metrics = {
            name: measure_detections(split.truths, split.detections, self.label_names) for name, split in splits.items()
        }
        if outputs is None:
            return Measured(DetectorFigures(float_metrics=float_metrics))
        decoder = FixedDecoder.of(self.maps, self.decoder, *boxes_and_scores(contracts))
        progress.say("decoding int8 outputs as the C code does")
        found = {name: decoder.decode_all(*boxes_and_scores(codes)) for name, codes in outputs.items()}
        on_eval = splits[features.EVAL]
        point = self._operating_point(splits, found, decoder)
        figures = DetectorFigures(
            float_metrics=float_metrics,
            int8_metrics={
                name: measure_detections(split.truths, found[name], self.label_names) for name, split in splits.items()
            },
            quantization_loss=measure_drop(on_eval.truths, on_eval.detections, found[features.EVAL], self.label_names),
            operating_point=point,
        )
        pictures = show_detector(
            on_eval.images.rasters,
            on_eval.images.source_ids,
            on_eval.truths,
            found[features.EVAL],
            label_names=self.label_names,
            threshold=self.decoder.min_score if point is None else point.threshold,
        )
        if point is not None or self.max_false_detections is None:
            return Measured(figures, pictures)
        refusal = (
            f"release.max_false_alarm_rate: no score keeps to {self.max_false_detections} false detections for each"
            " eval image"
        )
        return Measured(figures, pictures, (refusal,))

    def _operating_point(
        self, splits: Mapping[str, DetectorSplit], found: Mapping[str, list[Detections]], decoder: FixedDecoder
    ) -> DetectorOperatingPoint | None:
        labels = range(1, len(self.label_names))
        truths = splits[features.EVAL].truths
        score = choose_score(truths, found[features.EVAL], labels, self.max_false_detections)
        if score is None:
            return None
        return DetectorOperatingPoint(
            max_false_detections=self.max_false_detections,
            threshold=score,
            codes=tuple(_lowest_code(output.scores, score) for output in decoder.outputs),
            rates={
                name: measure_rates(split.truths, found[name], self.label_names, score)
                for name, split in splits.items()
            },
        )


def find_objects(
    saved_model_dir: Path, rasters: npt.NDArray[np.uint8], maps: Sequence[AnchorMap], decoder: DecoderOptions
) -> list[Detections]:
    """What a float detector finds in each image, by the signature that is converted.

    Args:
      saved_model_dir: the float model.
      rasters: uint8 [n, height, width, channels].
      maps: its anchors.
      decoder: which of them become detections.
    """
    anchors = anchors_yxhw(maps)

    def decode(answer: Mapping[str, npt.NDArray[Any]]) -> Detections:
        boxes, scores = boxes_and_scores([answer[name] for name in output_order(answer)])
        return decode_detections(np.concatenate(boxes, axis=1)[0], np.concatenate(scores, axis=1)[0], anchors, decoder)

    return list(map(decode, answer_pixels(saved_model_dir, rasters)))


def _lowest_code(scores_of_codes: Sequence[int], score: float) -> int:
    """Of an output; one above all codes where none has such a score."""
    wanted = to_q15(score)
    return next((code for code, found in zip(CODES, scores_of_codes, strict=True) if found >= wanted), CODES.stop)

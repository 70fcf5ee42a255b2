"""A classifier's figures: accuracy, AUC and operating point, of probabilities and of codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components import features
from components.dataset import DatasetSummary
from components.pusher.figures import ClassifierFigures
from components.pusher.judged_images import JudgedImages
from components.pusher.pictures import show_classifier
from components.pusher.scoring import Codes, JudgedSplit, Measured, Outputs, Scoring, answer_pixels
from components.quantization.contracts import TensorContract
from components.quantization.metrics import dequantize
from components.quantization.operating_point import choose_code, code_above_half, measure_rates, probability_of
from components.quantization.quality import measure_loss, measure_quality
from components.quantization.records import OperatingPoint, Quality

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassifierSplit(JudgedSplit):
    """One split, and the float model's probabilities of it, float32 [n, labels]."""

    probabilities: Floats


@dataclass(frozen=True)
class ClassifierScoring(Scoring[ClassifierSplit]):
    """How a classifier is measured.

    Attributes:
      dataset: names the labels.
      max_false_alarm_rate: of the operating point, as in `release`.
    """

    dataset: DatasetSummary
    max_false_alarm_rate: float | None

    def answer(  # noqa: D102
        self,
        saved_model_dir: Path,
        images: JudgedImages,
        example_files: Sequence[str],  # noqa: ARG002  # the labels came with the images
    ) -> ClassifierSplit:
        answers = answer_pixels(saved_model_dir, images.rasters)
        return ClassifierSplit(images, np.concatenate([answer[features.PROBABILITIES] for answer in answers]))

    def measure(  # noqa: D102
        self,
        splits: Mapping[str, ClassifierSplit],
        outputs: Mapping[str, Outputs] | None,
        contracts: tuple[TensorContract, ...],
    ) -> Measured:
        float_metrics = {name: self._quality(split.images, split.probabilities) for name, split in splits.items()}
        if outputs is None:
            return Measured(ClassifierFigures(float_metrics=float_metrics))
        codes = {name: found[0] for name, found in outputs.items()}
        probabilities = {name: dequantize(found, contracts[0]) for name, found in codes.items()}
        on_eval = splits[features.EVAL]
        point = self._operating_point(contracts[0], splits, codes)
        figures = ClassifierFigures(
            float_metrics=float_metrics,
            int8_metrics={name: self._quality(split.images, probabilities[name]) for name, split in splits.items()},
            quantization_loss=measure_loss(on_eval.probabilities, probabilities[features.EVAL], on_eval.images.labels),
            operating_point=point,
        )
        images = on_eval.images
        pictures = show_classifier(
            images.rasters, images.source_ids, images.labels, probabilities[features.EVAL], self.dataset.label_names
        )
        if point is not None or self.dataset.positive is None:
            return Measured(figures, pictures)
        refusal = (
            f"release.max_false_alarm_rate: more than {self.max_false_alarm_rate} of the eval images without"
            f" {self.dataset.positive} have its highest score, or there are none, so that no threshold keeps to it"
        )
        return Measured(figures, pictures, (refusal,))

    def _quality(self, images: JudgedImages, probabilities: Floats) -> Quality:
        return measure_quality(probabilities, images.labels, self.dataset.label_names, images.slices)

    def _operating_point(
        self, contract: TensorContract, splits: Mapping[str, ClassifierSplit], codes: Mapping[str, Codes]
    ) -> OperatingPoint | None:
        if self.dataset.positive is None:
            return None
        index = self.dataset.label_names.index(self.dataset.positive)
        found = {name: (codes[name][:, index], split.images.labels == index) for name, split in splits.items()}
        code = choose_code(*found[features.EVAL], self.max_false_alarm_rate, code_above_half(contract))
        if code is None:
            return None
        return OperatingPoint(
            label=self.dataset.positive,
            index=index,
            max_false_alarm_rate=self.max_false_alarm_rate,
            code=code,
            threshold=probability_of(code, contract),
            rates={name: measure_rates(*pair, code) for name, pair in found.items()},
        )

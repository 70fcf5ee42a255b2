"""What a task asks of the training loop, which knows no task itself: see `classification` and `detection`."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.trainer.input_pipeline import DecodedSplit

# From float32 [n, side, side, channels] in [-1, 1] to the judged model's outputs, as the task's models have them.
Predict = Callable[[Any], Any]


class Evaluation(Protocol):
    """What a model came to on the eval split."""

    @property
    def figures(self) -> Mapping[str, float]:
        """`loss`, and what else `trainer.best_by` may name, where the split has it."""

    def write_summaries(self) -> None:
        """Writes pictures and curves for TensorBoard, to the default writer and step."""


class Objective(Protocol):
    """What is learned from a batch, and what an epoch comes to."""

    def size(self, targets: Any) -> Any:
        """What a replica's share adds to the number by which the batch's loss is divided, float32 []."""

    def loss(self, outputs: Any, targets: Any, size: Any) -> tuple[Any, dict[str, Any]]:
        """A replica's share of a batch: the sum over the replicas is the batch's mean.

        Args:
          outputs: of the model for the replica's images, as float32.
          targets: what they should have been, as the task's training batches have it.
          size: of the whole batch.

        Returns:
          The loss, float32 [], and further figures by name, likewise.
        """

    def evaluate(self, predict: Predict, split: Any) -> Evaluation:
        """Judges a model on a split."""

    def describe(self, means: Mapping[str, float], latest: Mapping[str, float] | None) -> str:
        """How it goes, in a few words for the progress line.

        Args:
          means: over the steps of the epoch, `loss` and the further figures.
          latest: the eval split's figures after the latest epoch; None before the first.
        """


class Task(Protocol):
    """An objective with what there is to learn and to judge."""

    @property
    def objective(self) -> Objective:
        """What is learned."""

    @property
    def train_split(self) -> DecodedSplit:
        """What training batches are drawn from."""

    @property
    def eval_split(self) -> DecodedSplit:
        """What an epoch is judged on."""

    def batches(self, first_step: int) -> Any:
        """An endless `tf.data.Dataset` of (images, targets) from a step on, counted from 0."""

    def draw(self, images: Any, targets: Any) -> npt.NDArray[np.uint8]:
        """The images of a training batch for a person, uint8 [n, height, width, channels]."""

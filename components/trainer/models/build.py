"""Builds the model that a job describes."""

import keras

from components.trainer.job import Architecture, TrainingJob
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.optimization import batch_norm_momentum, l2_penalty

BACKBONES = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2}


def build_model(job: TrainingJob, total_steps: int) -> keras.Model:
    """The untrained model of a job."""
    options = job.trainer
    return build_architecture(
        job.architecture,
        dropout=options.dropout,
        weight_decay=l2_penalty(options),
        batch_norm_momentum=batch_norm_momentum(options.max_batch_norm_momentum, total_steps),
    )


def build_architecture(
    architecture: Architecture, *, dropout: float, weight_decay: float, batch_norm_momentum: float
) -> keras.Model:
    """A model of this architecture; what training alone needs comes beside it, as in `mobilenet_v1`."""
    return BACKBONES[architecture.backbone](
        side=architecture.side,
        channels=architecture.channels,
        classes=architecture.label_count,
        alpha=architecture.alpha,
        dropout=dropout,
        weight_decay=weight_decay,
        batch_norm_momentum=batch_norm_momentum,
        activation=architecture.activation,
        border=architecture.border,
    )

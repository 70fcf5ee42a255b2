"""Builds the model that a job describes."""

import keras

from components.trainer.job import TrainingJob
from components.trainer.models.mobilenet_v1 import mobilenet_v1
from components.trainer.models.mobilenet_v2 import mobilenet_v2
from components.trainer.optimization import batch_norm_momentum, l2_penalty

BACKBONES = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2}


def build_model(job: TrainingJob, total_steps: int) -> keras.Model:
    """The untrained model of a job."""
    options = job.trainer
    return BACKBONES[options.backbone](
        side=job.side,
        channels=job.channels,
        classes=job.label_count,
        alpha=options.alpha,
        dropout=options.dropout,
        weight_decay=l2_penalty(options),
        batch_norm_momentum=batch_norm_momentum(options.max_batch_norm_momentum, total_steps),
        activation=options.activation,
        border=options.border,
    )

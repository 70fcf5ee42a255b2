"""Builds the model that a job describes."""

from collections.abc import Callable

import keras

from components.detection.feature_maps import anchor_maps, feature_layers
from components.trainer.job import Architecture, TrainingJob
from components.trainer.models import mobilenet_v1 as v1
from components.trainer.models import mobilenet_v2 as v2
from components.trainer.models.layers import Backbone, LayerStyle
from components.trainer.models.ssd import SsdBuilder
from components.trainer.optimization import batch_norm_momentum, l2_penalty
from components.trainer.options import Backbone as BackboneName

CLASSIFIERS = {"mobilenet_v1": v1.mobilenet_v1, "mobilenet_v2": v2.mobilenet_v2}
_BACKBONES: dict[BackboneName, Callable[[int, int, float, LayerStyle], Backbone]] = {
    "mobilenet_v1": v1.mobilenet_v1_backbone,
    "mobilenet_v2": v2.mobilenet_v2_backbone,
}
_SCALES: dict[BackboneName, Callable[[int, float], int]] = {
    "mobilenet_v1": v1.scale_filters,
    "mobilenet_v2": v2.scale_filters,
}

_DETECTOR_PREFIX = "ssd_"


def build_model(job: TrainingJob, total_steps: int) -> keras.Model:
    """The untrained model of a job."""
    options = job.trainer
    detector = options.detector
    return build_architecture(
        job.architecture,
        dropout=options.dropout,
        weight_decay=l2_penalty(options),
        batch_norm_momentum=batch_norm_momentum(options.max_batch_norm_momentum, total_steps),
        **({} if detector is None else {"class_prior": detector.class_prior}),
    )


def build_architecture(
    architecture: Architecture,
    *,
    dropout: float,
    weight_decay: float,
    batch_norm_momentum: float,
    class_prior: float = 0.01,
) -> keras.Model:
    """A model of this architecture; what training alone needs comes beside it.

    Args:
      architecture: a classifier's or a detector's.
      dropout: as in `mobilenet_v1`; a detector has none.
      weight_decay: as in `LayerStyle`.
      batch_norm_momentum: likewise.
      class_prior: as in `SsdBuilder`; a classifier has none.

    Returns:
      As `mobilenet_v1`, or `SsdBuilder.build`.
    """
    if architecture.detector is not None:
        return _build_detector(architecture, weight_decay, batch_norm_momentum, class_prior)
    return CLASSIFIERS[architecture.backbone](
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


def _build_detector(
    architecture: Architecture, weight_decay: float, batch_norm_momentum: float, class_prior: float
) -> keras.Model:
    network, backbone = architecture.detector, architecture.backbone
    assert network is not None
    style = LayerStyle(weight_decay, batch_norm_momentum, architecture.activation, architecture.border)
    builder = SsdBuilder(
        network=network,
        feature_layers=feature_layers(backbone, network),
        maps=anchor_maps(backbone, architecture.side, network),
        classes=architecture.label_count - 1,
        widen=lambda filters: _SCALES[backbone](filters, architecture.alpha),
        style=style,
        class_prior=class_prior,
    )
    built = _BACKBONES[backbone](architecture.side, architecture.channels, architecture.alpha, style)
    return builder.build(built, name=f"{_DETECTOR_PREFIX}{backbone}")


def is_detector(model: keras.Model) -> bool:
    """Whether a model that was built here finds objects."""
    return bool(model.name.startswith(_DETECTOR_PREFIX))


def backbone_of(model: keras.Model) -> str:
    """The name of the backbone of a model that was built here."""
    return str(model.name.removeprefix(_DETECTOR_PREFIX))

"""Initial weights: from a file of Keras 1, 2 or 3 or a SavedModel into our model, and a report of every layer.

Layers are matched by name where any name agrees, else by their order, and then every one has to fit. What is
adapted is adapted exactly, so that the loaded network gives the source's answers (docs/transfer-learning.md):

    first convolution   RGB to gray by summing its kernel over the channels: the same as feeding gray three times;
                        gray to RGB by a third in each channel: the same as feeding the channels' mean
                        another input range by scaling the kernel and shifting the moving mean
    convolution's bias  folded into the moving mean of the normalization that follows
    classifier          a dense layer's kernel as that of a 1x1 convolution, and back; fresh where the labels differ
    detector            what stands on the backbone: see `components.trainer.detector_weights`
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from components.errors import ModelError
from components.exported_model import WEIGHTS_REPORT
from components.trainer.detector_weights import holds_detector, load_detector
from components.trainer.models.build import backbone_of, is_detector
from components.trainer.models.layers import BlackBorder
from components.trainer.options import INPUT_RANGES, InputRange, TrainerOptions
from components.trainer.source_network import NORM_ROLES, Array, SourceLayer, SourceNetwork, read_network
from components.trainer.stages import HEAD, block_of
from components.trainer.weights_file import hash_weights, local_weights, released_labels, weights_location
from components.trainer.weights_report import LayerReport, Outcome, WeightsReport


def start_from(
    model: keras.Model,
    options: TrainerOptions,
    side: int,
    sha256: str | None,
    *,
    report_dir: str,
    categories: tuple[str, ...] | None = None,
) -> WeightsReport | None:
    """Loads what `trainer.initial_weights` names, says so in the log and in `report_dir`; nothing where it names none.

    Args:
      model: changed in place.
      options: of the Trainer.
      side: of the images, in pixels.
      sha256: what the bytes have to be; None accepts any.
      report_dir: where `initial_weights.json` goes.
      categories: of a detector, the names of the labels 1 and up.

    Raises:
      ConfigError: where nothing is there any more.
      ModelError: if the bytes are other ones, or cannot be used.
    """
    location = weights_location(options, side)
    if location is None:
        return None
    with local_weights(location) as path:
        found = hash_weights(path)
        if sha256 not in {None, found}:
            raise ModelError(
                f"trainer.initial_weights: {location} has changed since the run began: sha256 {found}",
                expected=f"sha256 {sha256}",
                hint="run again; the Trainer will take what is there now",
            )
        report = load_initial_weights(
            model,
            path,
            location=location,
            sha256=found,
            input_range=options.initial_weights_range,
            categories=categories,
        )
    logging.info("%s", report.summary())
    for note in report.notes:
        logging.warning("initial weights: %s", note)
    tf.io.gfile.makedirs(report_dir)
    with tf.io.gfile.GFile(f"{report_dir}/{WEIGHTS_REPORT}", "w") as file:
        file.write(report.model_dump_json(indent=2) + "\n")
    return report


def copy_report(run_dir: str, serving_model_dir: str) -> None:
    """Puts the report, if `start_from` wrote one, beside the exported model."""
    report = f"{run_dir}/{WEIGHTS_REPORT}"
    if tf.io.gfile.exists(report):
        beside, _, _ = serving_model_dir.rstrip("/").rpartition("/")
        tf.io.gfile.copy(report, f"{beside}/{WEIGHTS_REPORT}", overwrite=True)


def load_initial_weights(
    model: keras.Model,
    path: Path,
    *,
    location: str,
    sha256: str,
    input_range: InputRange,
    categories: tuple[str, ...] | None = None,
) -> WeightsReport:
    """Sets a model's weights to those of a file.

    Args:
      model: one of `components.trainer.models`; changed in place.
      path: an HDF5 or `.keras` file, or the folder of a SavedModel.
      location: how the user named it.
      sha256: of its bytes.
      input_range: of the source network's input, black..white.
      categories: as in `start_from`; None takes as many labels for the same ones.

    Returns:
      What became of every layer.

    Raises:
      ModelError: if the file is damaged, holds weights of another architecture, or nothing that fits.
    """
    network = read_network(path, location)
    targets = [layer for layer in model.layers if layer.weights]
    is_head = [block_of(layer.name, backbone_of(model)) == HEAD for layer in targets]
    backbone, head = (list(compress(targets, chosen)) for chosen in ([not each for each in is_head], is_head))
    matched_by, sources = _match(backbone, network.layers, location)
    loader = _Loader(input_range, has_black_border=any(isinstance(layer, BlackBorder) for layer in model.layers))
    layers = [loader.load(target, source) for target, source in zip(backbone, sources, strict=True)]
    if is_detector(model):
        reports, notes = load_detector(head, network.layers, categories, released_labels(path))
    else:
        reports, notes = [_load_head(head[0], _find_head(head[0], network.layers, sources))], []
    layers += reports
    used = {layer.source for layer in layers}
    return WeightsReport(
        location=location,
        sha256=sha256,
        matched_by=matched_by,
        layers=tuple(layers),
        unused=tuple(source.name for source in network.layers if source.name not in used),
        notes=(*loader.notes, *notes, *_activation_notes(model, network)),
    )


def _match(
    backbone: Sequence[Any], sources: Sequence[SourceLayer], location: str
) -> tuple[Literal["name", "order"], list[SourceLayer | None]]:
    """The source of every layer of the backbone.

    Raises:
      ModelError: naming the first that does not fit.
    """
    by_name = {source.name: source for source in sources}
    named = [by_name.get(target.name) for target in backbone]
    matched_by: Literal["name", "order"] = "name" if any(named) else "order"
    if matched_by == "order":
        padded = [*sources, *[None] * len(backbone)]
        named = padded[: len(backbone)]
    for place, (target, source) in enumerate(zip(backbone, named, strict=True)):
        if source is None and matched_by == "name":
            continue
        if source is None or not _fits(target, source, is_first=place == 0):
            shapes = ", ".join(str(list(weight.shape)) for weight in target.weights)
            raise ModelError(
                f"trainer.initial_weights: {location} is of another architecture: layer {place + 1} of"
                f" {len(backbone)}, {target.name}, received {source.describe() if source else 'nothing'}",
                expected=f"weights of shape {shapes} for {target.name}",
                hint="set trainer.backbone and trainer.alpha to those of the weights",
            )
    return matched_by, named


def _fits(target: Any, source: SourceLayer, *, is_first: bool) -> bool:
    if isinstance(target, keras.layers.BatchNormalization):
        found = {role: array.shape for role, array in source.arrays.items()}
        wanted = target.moving_mean.shape
        return {"moving_mean", "moving_variance"} <= found.keys() and all(shape == wanted for shape in found.values())
    if source.is_norm or not source.arrays.keys() <= {"kernel", "bias"}:
        return False
    shape, wanted = source.arrays["kernel"].shape, tuple(target.kernel.shape)
    if is_first and len(shape) == 4 and {shape[2], wanted[2]} == {1, 3}:
        return shape[:2] == wanted[:2] and shape[3] == wanted[3]
    return shape == wanted


@dataclass
class _Loader:
    """Loads the layers of a backbone, one after another; what a convolution adds goes into the next normalization."""

    input_range: InputRange
    has_black_border: bool
    notes: list[str] = field(default_factory=list)
    _is_first: bool = True
    _shift: Array | None = None

    def load(self, target: Any, source: SourceLayer | None) -> LayerReport:
        is_first, self._is_first = self._is_first, False
        if source is None:
            self._shift = None
            return LayerReport(
                layer=target.name, outcome=Outcome.FRESH, source=None, details=("the file has no layer of this name",)
            )
        details = self._load_norm(target, source) if source.is_norm else self._load_kernel(target, source, is_first)
        outcome = Outcome.ADAPTED if details else Outcome.LOADED
        return LayerReport(layer=target.name, outcome=outcome, source=source.name, details=tuple(details))

    def _load_norm(self, target: Any, source: SourceLayer) -> list[str]:
        arrays = dict(source.arrays)
        details = []
        for role, value in (("gamma", 1.0), ("beta", 0.0)):
            if role not in arrays:
                arrays[role] = np.full_like(arrays["moving_mean"], value)
                details.append(f"{role}, which the file lacks, is {value:g}")
        if self._shift is not None:
            arrays["moving_mean"] = arrays["moving_mean"] - self._shift
            details.append("moving mean less what the convolution before it would have added")
            self._shift = None
        target.set_weights([arrays[role] for role in NORM_ROLES])
        return details

    def _load_kernel(self, target: Any, source: SourceLayer, is_first: bool) -> list[str]:
        kernel = source.arrays["kernel"]
        details: list[str] = []
        shift = np.zeros((), np.float32)
        if is_first:
            kernel, shift = self._adapt_input(kernel, target.kernel.shape[2], details)
        bias = source.arrays.get("bias")
        if bias is not None:
            shift = shift + bias
            details.append("bias folded into the normalization that follows")
        self._shift = shift if shift.any() else None
        target.set_weights([kernel])
        return details

    def _adapt_input(self, kernel: Array, channels: int, details: list[str]) -> tuple[Array, Array]:
        """The first kernel for our channels and for [-1, 1], and what it would have added to every output."""
        if kernel.shape[2] > channels:
            kernel = kernel.sum(axis=2, keepdims=True)
            details.append("RGB to gray: kernel summed over the channels")
        elif kernel.shape[2] < channels:
            kernel = np.repeat(kernel / channels, channels, axis=2)
            details.append("gray to RGB: a third of the kernel in each channel")
        black, white = INPUT_RANGES[self.input_range]
        scale, offset = (white - black) / 2, (white + black) / 2
        if self.has_black_border != (black == 0):
            border = "black" if black == 0 else "gray"
            self.notes.append(
                f"around the image the source's zeros mean {border}, this model's do not: the outermost row and column"
                f" of the first convolution differ; trainer.border={border} keeps them"
            )
        if (scale, offset) == (1.0, 0.0):
            return kernel, np.zeros((), np.float32)
        details.append(f"input range {self.input_range} to -1..1: kernel times {scale:g}, the offset folded")
        shift: Array = offset * kernel.sum(axis=(0, 1, 2))
        return np.asarray(kernel * scale, np.float32), shift


def _find_head(
    target: Any, sources: Sequence[SourceLayer], matched: Sequence[SourceLayer | None]
) -> SourceLayer | None:
    """The source's classifier: the layer of the same name, else its last, if still free; a detector has none."""
    if holds_detector(sources):
        return None
    used = {source.name for source in matched if source is not None}
    free = [source for source in sources if source.name not in used and "kernel" in source.arrays]
    named = [source for source in free if source.name == target.name]
    return named[0] if named else free[-1] if free and free[-1] is sources[-1] else None


def _load_head(target: Any, source: SourceLayer | None) -> LayerReport:
    def fresh(reason: str) -> LayerReport:
        return LayerReport(layer=target.name, outcome=Outcome.FRESH, source=None, details=(reason,))

    if source is None:
        return fresh("the file has no classifier")
    kernel, wanted = source.arrays["kernel"], tuple(target.kernel.shape)
    if kernel.shape[-1] != wanted[-1]:
        return fresh(f"{source.name} has {kernel.shape[-1]:,} labels, this model {wanted[-1]:,}")
    if kernel.shape[-2:] != wanted[-2:] or kernel.size != np.prod(wanted):
        return fresh(f"{source.name} has a kernel of shape {list(kernel.shape)}, this model's has {list(wanted)}")
    bias = source.arrays.get("bias", np.zeros(wanted[-1], np.float32))
    target.set_weights([kernel.reshape(wanted), bias])
    details = () if kernel.shape == wanted else (f"kernel {list(kernel.shape)} reshaped to {list(wanted)}",)
    outcome = Outcome.ADAPTED if details else Outcome.LOADED
    return LayerReport(layer=target.name, outcome=outcome, source=source.name, details=details)


def _activation_notes(model: keras.Model, network: SourceNetwork) -> list[str]:
    limits = {layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)}
    ours = "relu" if limits == {None} else "relu6"
    if network.activation in {None, ours}:
        return []
    return [f"the source's activation is {network.activation}, this model's {ours}; trainer.activation sets it"]

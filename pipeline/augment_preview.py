"""Draws what augmentation makes of training images, without a run: `vww augment preview`."""

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageDraw

from components import features
from components.errors import DataError
from components.example_gen.image_bytes import CheckedImage, check_image
from components.example_gen.labeling import find_label_givers
from components.example_gen.plan import DatasetPlan, LabeledImage, plan_dataset
from components.example_gen.quarantine import BadRecord
from components.example_gen.records import box_yxyx
from components.example_gen.storage import FileReader
from components.pusher.durable_files import replace_durably, storage_errors
from components.rasters import rasterize
from components.trainer.augmentation.augment import augment
from components.trainer.augmentation.boxes import augment_boxes
from components.trainer.augmentation.options import changes_of
from components.trainer.box_targets import BoxTargets
from pipeline.config import RunConfig
from pipeline.report.contact_sheet import THUMBNAIL_PX, Tile, render_contact_sheet
from pipeline.report.preview import PreviewReport, PreviewRequest

_BOX = (230, 60, 40)


@dataclass(frozen=True)
class Row:
    """One training image.

    Attributes:
      source_id: of the image.
      label: its name.
      raster: uint8 [side, side, channels], as evaluation would see it.
      boxes_yxyx: float32 [objects, 4] in 0...1, of the objects that gave the label, or that a detector learns from.
      versions: uint8 [versions, side, side, channels], as training would see it.
      captions: of the versions: what their labels are, or how many objects a detector would have to find.
      found_yxyx: of each version, float32 [objects, 4], where those objects are; None where nobody asks.
    """

    source_id: str
    label: str
    raster: npt.NDArray[np.uint8]
    boxes_yxyx: npt.NDArray[np.float32]
    versions: npt.NDArray[np.uint8]
    captions: tuple[str, ...]
    found_yxyx: tuple[npt.NDArray[np.float32], ...] | None = None


def draw_preview(request: PreviewRequest) -> PreviewReport:
    """Draws what was asked for.

    Raises:
      DataError: if the set cannot be used, or none of its training images.
      StorageError: if something cannot be written.
    """
    plan = plan_dataset(request.config.data)
    rows = augment_images(request.config, plan, images=request.images, versions=request.versions)
    write_sheet(rows, Path(request.sheet))
    if request.tensorboard is not None:
        write_events(rows, Path(request.tensorboard))
    return PreviewReport(images=len(rows))


def augment_images(config: RunConfig, plan: DatasetPlan, *, images: int, versions: int) -> list[Row]:
    """Changes some training images as a training would, with draws of their own.

    Args:
      config: of the run.
      plan: of its data.
      images: how many, the labels taking turns, chosen by a hash of their ids.
      versions: how many of each.

    Raises:
      DataError: if no training image can be read.
    """
    chosen = list(itertools.islice(_read(plan), images))
    if not chosen:
        raise DataError("no image of the train split can be read", hint="vww data report says why")
    transform = config.transform
    rasters = _rasterize(chosen, transform.side, transform.channels)
    source = transform.training_raster
    given = rasters if source is None else _rasterize(chosen, source.side, source.channels)
    change = _change_labels if config.trainer.detector is None else _change_boxes
    return change(config, plan, chosen, rasters, given, versions)


def _change_labels(  # noqa: PLR0917  # as `_change_boxes`
    config: RunConfig,
    plan: DatasetPlan,
    chosen: Sequence[tuple[LabeledImage, CheckedImage]],
    rasters: npt.NDArray[np.uint8],
    given: npt.NDArray[np.uint8],
    versions: int,
) -> list[Row]:
    """A classifier's rows."""
    names, transform = plan.label_names, config.transform
    boxes = [_boxes(image, checked, plan) for image, checked in chosen]
    draws = [
        augment(
            tf.constant(given),
            tf.one_hot([image.label for image, _ in chosen], len(names)),
            _pad(boxes),
            tf.constant([config.run.seed, version], tf.int64),
            changes_of(config.trainer.augmentation),
            side=transform.side,
            channels=transform.channels,
        )
        for version in range(versions)
    ]
    pictures = np.rint([changed.numpy() for changed, _ in draws]).astype(np.uint8)
    return [
        Row(
            source_id=image.record.source_id,
            label=names[image.label],
            raster=rasters[place],
            boxes_yxyx=boxes[place],
            versions=pictures[:, place],
            captions=tuple(_describe(mixed[place].numpy(), names) for _, mixed in draws),
        )
        for place, (image, _) in enumerate(chosen)
    ]


def _change_boxes(  # noqa: PLR0917  # as `_change_labels`
    config: RunConfig,
    plan: DatasetPlan,
    chosen: Sequence[tuple[LabeledImage, CheckedImage]],
    rasters: npt.NDArray[np.uint8],
    given: npt.NDArray[np.uint8],
    versions: int,
) -> list[Row]:
    """A detector's rows; crowds are left out, of which nothing is learned."""
    boxes = [_object_boxes(image, checked, plan) for image, checked in chosen]
    padded = np.zeros((len(boxes), max(1, *map(len, boxes)), 4), np.float32)
    for place, found in enumerate(boxes):
        padded[place, : len(found)] = found
    exists = padded.any(axis=-1)
    targets = BoxTargets(tf.constant(padded), tf.constant(exists.astype(np.int32)), tf.zeros(exists.shape, tf.bool))
    draws = [
        augment_boxes(
            tf.constant(given),
            targets,
            tf.constant([config.run.seed, version], tf.int64),
            changes_of(config.trainer.augmentation),
            side=config.transform.side,
            channels=config.transform.channels,
        )
        for version in range(versions)
    ]
    pictures = np.rint([changed.numpy() for changed, _ in draws]).astype(np.uint8)
    rows = []
    for place, (image, _) in enumerate(chosen):
        left = [t.boxes_yxyx.numpy()[place][(t.labels.numpy()[place] > 0) & ~t.crowds.numpy()[place]] for _, t in draws]
        rows.append(
            Row(
                source_id=image.record.source_id,
                label=_count(boxes[place]),
                raster=rasters[place],
                boxes_yxyx=boxes[place],
                versions=pictures[:, place],
                captions=tuple(map(_count, left)),
                found_yxyx=tuple(left),
            )
        )
    return rows


def _object_boxes(image: LabeledImage, checked: CheckedImage, plan: DatasetPlan) -> npt.NDArray[np.float32]:
    boxes = (
        box_yxyx(annotation, checked.width, checked.height)
        for annotation in image.record.annotations
        if annotation.category_id in plan.inventory.category_ids and not annotation.is_crowd
    )
    return np.array([box for box in boxes if box is not None], np.float32).reshape(-1, 4)


def _count(boxes: npt.NDArray[np.float32]) -> str:
    return f"{len(boxes)} object{'' if len(boxes) == 1 else 's'}"


def _pad(boxes: Sequence[npt.NDArray[np.float32]]) -> Any | None:
    """The boxes of all images as one tensor, float32 [n, objects, 4]; None where there are none."""
    padded = np.zeros((len(boxes), max(map(len, boxes)), 4), np.float32)
    for place, found in enumerate(boxes):
        padded[place, : len(found)] = found
    return tf.constant(padded) if padded.any() else None


def _read(plan: DatasetPlan) -> Iterator[tuple[LabeledImage, CheckedImage]]:
    """The training images that can be read, the labels taking turns."""
    reader = FileReader()
    training = sorted(
        (image for image in plan.records if image.split == features.TRAIN),
        key=lambda image: hashlib.sha256(image.record.source_id.encode(errors="surrogatepass")).digest(),
    )
    by_label = [[image for image in training if image.label == label] for label in range(len(plan.label_names))]
    for image in itertools.chain.from_iterable(itertools.zip_longest(*reversed(by_label))):
        if image is None:
            continue
        try:
            record = image.record
            yield image, check_image(reader.read_image(image.path), width=record.width, height=record.height)
        except BadRecord:
            continue


def _boxes(image: LabeledImage, checked: CheckedImage, plan: DatasetPlan) -> npt.NDArray[np.float32]:
    givers = find_label_givers(image.record, image.label, plan.inventory.category_ids, plan.rule.parameters)
    boxes = (box_yxyx(annotation, checked.width, checked.height) for annotation in givers)
    return np.array([box for box in boxes if box is not None], np.float32).reshape(-1, 4)


def _rasterize(chosen: Sequence[tuple[LabeledImage, CheckedImage]], side: int, channels: int) -> npt.NDArray[np.uint8]:
    return np.stack([rasterize(tf.constant(checked.data), side, channels).numpy() for _, checked in chosen])


def _describe(label: npt.NDArray[np.float32], names: Sequence[str]) -> str:
    """The label's name, or the shares of several."""
    shares = [(share, name) for share, name in zip(label.tolist(), names, strict=True) if share > 0.005]
    if len(shares) == 1:
        return shares[0][1]
    return "\n".join(f"{share:.0%} {name}" for share, name in sorted(shares, reverse=True)[:2])


def write_sheet(rows: Sequence[Row], path: Path) -> None:
    """Writes a contact sheet: in each row an image with the boxes of its labelled objects, then its versions.

    Raises:
      StorageError: if the file cannot be written.
    """
    tiles = []
    for row in rows:
        tiles.append(Tile(_draw_boxes(row.raster, row.boxes_yxyx), f"{row.label}\n{row.source_id}"))
        found = row.found_yxyx or (np.zeros((0, 4), np.float32),) * len(row.versions)
        for version, boxes, caption in zip(row.versions, found, row.captions, strict=True):
            tiles.append(Tile(_draw_boxes(version, boxes), caption))
    sheet = io.BytesIO()
    render_contact_sheet(tiles, columns=1 + len(rows[0].versions)).save(sheet, "JPEG", quality=92)
    with storage_errors(path, sheet.tell()):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, sheet.getvalue())


def _enlarge(raster: npt.NDArray[np.uint8]) -> Image.Image:
    """Every pixel as a block, so that what the model sees is seen."""
    picture = Image.fromarray(raster[..., 0] if raster.shape[-1] == 1 else raster).convert("RGB")
    return picture.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.NEAREST)


def _draw_boxes(raster: npt.NDArray[np.uint8], boxes_yxyx: npt.NDArray[np.float32]) -> Image.Image:
    picture = _enlarge(raster)
    for ymin, xmin, ymax, xmax in (boxes_yxyx * (THUMBNAIL_PX - 1)).tolist():
        ImageDraw.Draw(picture).rectangle((xmin, ymin, xmax, ymax), outline=_BOX)
    return picture


def write_events(rows: Sequence[Row], folder: Path) -> None:
    """Writes TensorBoard images, `<label>/<source_id>`: the image, then its versions.

    Raises:
      StorageError: if the folder cannot be written.
    """
    with storage_errors(folder, sum(row.versions.nbytes for row in rows)):
        folder.mkdir(parents=True, exist_ok=True)
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=0):
        for row in rows:
            pictures = np.concatenate([row.raster[np.newaxis], row.versions])
            tf.summary.image(f"{row.label}/{row.source_id}", pictures, max_outputs=len(pictures))
    writer.close()

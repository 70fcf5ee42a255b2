"""The training images that calibrate the int8 model: which, that they are fit for it, and how a release keeps them.

    calibration.npy      uint8 [n, height, width, channels]: the rasters, in the order in which they were fed, without
                         the black and the white image that `pin_input_range` appends

With them, the SavedModel and the versions in the manifest, `vww releases rebuild` converts the model again.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components import features, pixels
from components.errors import ReleaseError
from components.pusher.manifest import CalibrationRecord
from components.quantization.convert import convert_full_integer
from components.quantization.representative_dataset import check_calibration, pin_input_range, select_calibration

CALIBRATION_NAME = "calibration.npy"

Rasters = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Calibration:
    """Rasters, uint8 [n, height, width, channels] in the order in which they are fed, and the record of them."""

    rasters: Rasters
    record: CalibrationRecord


def draw_calibration(
    files: Mapping[str, Sequence[str]], shape: tuple[int, int, int], count: int, seed: int
) -> Calibration:
    """Draws training images, an equal share of every label.

    Args:
      files: transformed examples by split, all of `features.SPLITS`.
      shape: [height, width, channels] of their rasters.
      count: how many, or all where there are fewer.
      seed: which.

    Raises:
      DataError: when the images show one label only, or one of them stands in another split as well.
    """
    from components.transformed_examples import read_index, read_rasters

    source_ids, labels = read_index(files[features.TRAIN])
    chosen = select_calibration(source_ids, labels.tolist(), count, seed)
    chosen_ids = tuple(source_ids[index] for index in chosen)
    held_out = {split: read_index(files[split])[0] for split in (features.EVAL, features.TEST) if files[split]}
    check_calibration(chosen_ids, labels[chosen].tolist(), held_out)
    place = {int(index): position for position, index in enumerate(chosen)}
    rasters = np.empty((len(chosen), *shape), np.uint8)
    for index, (raster, _) in enumerate(read_rasters(files[features.TRAIN], shape).as_numpy_iterator()):
        if index in place:
            rasters[place[index]] = raster
    record = CalibrationRecord(seed=seed, count=len(chosen), source_ids=chosen_ids, digest=_digest(rasters))
    return Calibration(rasters=rasters, record=record)


def convert_calibrated(saved_model_dir: Path, rasters: Rasters) -> bytes:
    """The full-integer flatbuffer of a SavedModel's pixels signature, as `convert_full_integer` describes it."""
    images = pin_input_range(pixels.normalize(rasters.astype(np.float32)))
    return convert_full_integer(saved_model_dir, features.PIXELS_SIGNATURE, images)


def encode_calibration(rasters: Rasters) -> bytes:
    """The content of `calibration.npy`; equal rasters give equal bytes."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(rasters), allow_pickle=False)
    return buffer.getvalue()


def decode_calibration(content: bytes, record: CalibrationRecord) -> Rasters:
    """The rasters of a release.

    Args:
      content: of its `calibration.npy`.
      record: of its manifest.

    Raises:
      ReleaseError: when they are not those of the record.
    """
    try:
        rasters: Rasters = np.load(io.BytesIO(content), allow_pickle=False)
        matches = rasters.dtype == np.uint8 and rasters.ndim == 4 and _digest(rasters) == record.digest
    except (ValueError, EOFError, OSError) as error:
        raise ReleaseError(f"{CALIBRATION_NAME} cannot be read: {error}", hint=_HINT) from error
    if not matches or len(rasters) != record.count:
        raise ReleaseError(
            f"{CALIBRATION_NAME} holds other images than the manifest names: received {rasters.dtype} {rasters.shape}",
            expected=f"uint8 [{record.count}, height, width, channels] of digest {record.digest[:16]}",
            hint=_HINT,
        )
    return rasters


_HINT = "`vww releases verify` tells which files of the release are damaged"


def _digest(rasters: Rasters) -> str:
    return hashlib.sha256(rasters.tobytes()).hexdigest()

"""An int8 model held against a float one of any kind, on a folder of images."""

from pathlib import Path

import numpy as np

from components.errors import ModelError
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.layers import measure_layers
from components.quantization.records import LayersReport
from pipeline.evaluation.feeding import feed, image_shape, scale_pixels
from pipeline.evaluation.float_flatbuffer import float_flatbuffer
from pipeline.evaluation.image_files import read_image_files
from pipeline.evaluation.report import LayersRequest

MOST_IMAGES = 200
_TIME_LIMIT_S = 120.0  # for every 32 images


def compare_layers(request: LayersRequest) -> LayersReport:
    """Reads or converts both, feeds them the first 200 images of the folder. Imports TensorFlow.

    Raises:
      DataError: if there are no images.
      ModelError: if the two cannot be compared.
    """
    path = Path(request.file)
    int8 = path.read_bytes()
    (source, *others) = inspect_flatbuffer(int8).inputs or (None,)
    if source is None or others:
        raise ModelError(f"{path} has no input, or several", expected="one input, of images")
    rasters = read_image_files(Path(request.images), image_shape(source.shape, path.name), MOST_IMAGES)
    return measure_layers(
        int8,
        float_flatbuffer(Path(request.against)),
        feed(rasters, source, request.input_range),
        np.asarray(scale_pixels(rasters.astype(np.float32), request.input_range), np.float32),
        time_limit_s=_TIME_LIMIT_S,
    )

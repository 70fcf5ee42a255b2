"""Which operators of a refused int8 model lose most, for those who have to mend it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components import features, pixels, progress
from components.errors import ModelError
from components.quantization.convert import convert_float
from components.quantization.layers import measure_layers
from components.quantization.records import LayerLoss
from components.transformed_examples import read_rasters
from components.verdicts import Gate

_ASK_THE_ANSWERS = ("gates.int8.min_", "gates.int8.max_accuracy_drop", "gates.int8.max_ap_drop")
_IMAGES = 64
_NAMED = 3


def find_layer_losses(
    flatbuffer: bytes,
    saved_model_dir: Path,
    files: Sequence[str],
    shape: tuple[int, int, int],
    gates: Sequence[Gate],
    *,
    time_limit_s: float,
) -> tuple[LayerLoss, ...]:
    """Compares an int8 model with the float one, layer by layer, if a gate refused what it answers.

    Takes about 10 s for MobileNet v1 0.25.

    Args:
      flatbuffer: the int8 model.
      saved_model_dir: the float model that it was converted from.
      files: transformed examples of the eval split, the first 64 of which are fed.
      shape: [height, width, channels] of their rasters.
      gates: what the int8 model was asked.
      time_limit_s: of TFLite Micro.

    Returns:
      The three operators that add most noise, the worst first; none where no gate asks for them, or where the two
      models cannot be compared, which is said.
    """
    if all(gate.passed for gate in gates if gate.name.startswith(_ASK_THE_ANSWERS)):
        return ()
    rasters = np.stack([raster for raster, _ in read_rasters(files, shape).take(_IMAGES).as_numpy_iterator()])
    try:
        report = measure_layers(
            flatbuffer,
            convert_float(saved_model_dir, features.PIXELS_SIGNATURE),
            pixels.quantize(rasters),
            pixels.normalize(rasters.astype(np.float32)),
            time_limit_s=time_limit_s,
        )
    except ModelError as error:
        progress.say(f"no comparison layer by layer: {error.message}")
        return ()
    return report.worst(_NAMED)

"""Measures what an architecture asks of a device, on a model of random weights, before anything is trained.

Arena, MACs and operators follow from the architecture and not from what was learned, as long as the weights are sane:
BatchNorm has the statistics of images that passed through, or all activations would be all but constant and the
converter refuse them; and no two kernels are alike, or the converter would store them once. So does the slim
flatbuffer's size, but for what training happens to make equal, which it holds once: the budget counts no two scales as
equal, and so is, but for some bytes of zero points, the most that a training can come to.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from components import features, pixels, progress
from components.quantization.budget import budget_gates
from components.quantization.compare import compare_outputs
from components.quantization.convert import convert_full_integer
from components.quantization.flatbuffer_records import pack_model, unpack_model
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.reference import run_reference
from components.quantization.representative_dataset import pin_input_range
from components.quantization.slim import slim_flatbuffer
from components.quantization.tflm import run_under_tflm
from components.trainer.budget import Budget, BudgetJob
from components.trainer.estimate import find_alternatives, find_smallest
from components.trainer.job import Architecture
from components.trainer.models.build import build_architecture
from components.trainer.signatures import export_pixels
from components.verdicts import Verdict

_SEED = 1
_IMAGES = 16  # give BatchNorm its statistics
_FED_IMAGES = 4  # of these calibrate, and are run under TFLite Micro
_STEPS = ("built", "exported", "converted", "run")


def measure_budget(job: BudgetJob) -> Budget:
    """Builds, converts and runs an untrained model, and holds its footprint against the limits.

    Takes about 8 s for MobileNet v1 0.25 at 96x96 on 2 cores, TensorFlow's import aside.

    Raises:
      ModelError: if the model cannot be converted as the pixel contract asks.
      StorageError: if the temporary folder has no room.
    """
    rasters, portable = _convert_random(job.architecture)
    flatbuffer = slim_flatbuffer(portable).flatbuffer
    most_bytes = len(slim_flatbuffer(_with_unequal_scales(portable)).flatbuffer)
    report = inspect_flatbuffer(flatbuffer).model_copy(update={"flatbuffer_bytes": most_bytes})
    codes = pixels.quantize(rasters[:_FED_IMAGES])
    run = run_under_tflm(flatbuffer, codes, time_limit_s=job.tflm_time_limit_s)
    parity = None if run.outputs is None else compare_outputs(run.outputs, run_reference(portable, codes))
    _report("run")
    verdict = Verdict(
        gates=budget_gates(report, run.arena, job.limits),
        refusals=() if run.failure is None else (f"TFLite Micro: {run.failure}",),
    )
    budget = Budget(architecture=job.architecture, report=report, arena=run.arena, parity=parity, verdict=verdict)
    if verdict.passed or verdict.refusals or run.arena is None or budget.has_other_ops:
        return budget
    alternatives = find_alternatives(budget, job.limits)
    smallest = None if alternatives else find_smallest(budget)
    return budget.model_copy(update={"alternatives": alternatives, "smallest": smallest})


def _convert_random(architecture: Architecture) -> tuple[npt.NDArray[np.uint8], bytes]:
    """Random rasters, uint8 [n, side, side, channels], and the int8 flatbuffer of a model that has seen them."""
    random = np.random.default_rng(_SEED)
    shape = (_IMAGES, architecture.side, architecture.side, architecture.channels)
    rasters = random.integers(0, 256, shape, np.uint8)
    images = pixels.normalize(rasters.astype(np.float32))
    # Of momentum 0: the moving statistics become those of the one batch.
    model = build_architecture(architecture, dropout=0.0, weight_decay=0.0, batch_norm_momentum=0.0)
    for layer in model.layers:
        layer.set_weights([_draw(layer, variable, random) for variable in layer.weights])
    model(images, training=True)
    _report("built")
    with tempfile.TemporaryDirectory() as folder:
        export_pixels(model, folder, architecture)
        _report("exported")
        fed = pin_input_range(images[:_FED_IMAGES])
        flatbuffer = convert_full_integer(Path(folder), features.PIXELS_SIGNATURE, fed)
    _report("converted")
    return rasters, flatbuffer


def _with_unequal_scales(portable: bytes) -> bytes:
    """The same flatbuffer, but that no two activations have one scale; to be measured, not to be run."""
    model = unpack_model(portable)
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.scale = (tensor.quantization.scale * (1 + index / 1000)).astype(np.float32)
    return pack_model(model)


def _draw(layer: keras.Layer, variable: keras.Variable, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Kernels that keep the size of what passes through, scales around 1, offsets and statistics around 0."""
    noise: npt.NDArray[np.float32] = random.standard_normal(variable.shape, np.float32)
    if variable.name == "kernel":
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)  # its kernel is [height, width, channels, 1]
        fan_in = np.prod(variable.shape[: 2 if is_depthwise else -1])
        return noise / np.float32(np.sqrt(fan_in))
    centre = np.float32(variable.name in {"gamma", "moving_variance"})
    return centre + np.float32(0.1) * noise


def _report(step: str) -> None:
    progress.report(_STEPS.index(step) + 1, len(_STEPS), "steps", step)

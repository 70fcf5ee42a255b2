"""`vww inspect --against-float`: the table of what each operator of an int8 model loses."""

import sys
from pathlib import Path

from components.errors import ConfigError, ModelError
from components.quantization.records import LayerLoss, LayersReport
from components.trainer.options import InputRange
from pipeline.child import ask_child
from pipeline.console import RunView, print_table
from pipeline.evaluation.report import LayersRequest

_WORST = 3


def show_layers(file: Path, against: Path, images: Path | None, input_range: InputRange, *, as_json: bool) -> None:
    """Compares an int8 model with its float model on images, and prints the operators in order of execution.

    Raises:
      ConfigError: without a folder of images.
      DataError: if that folder has none.
      ModelError: if the models cannot be compared.
    """
    if images is None:
        raise ConfigError(
            "--against-float needs images",
            expected="a folder of JPEG or PNG files, such as eval images",
            hint="--images DIR; what random pixels lose says little of photographs",
        )
    if not file.is_file():
        raise ModelError(f"cannot read {file}", expected="a .tflite file")
    request = LayersRequest(file=str(file), against=str(against), images=str(images), input_range=input_range)
    with RunView() as view:
        view.start("int8 against float")
        report = LayersReport.from_json(ask_child("layers", request, view))
        view.finish(f"{report.images:,} images")
    if as_json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
        return
    print_table(
        f"{file} against {against}, {report.images:,} images",
        ["", "operator", "output", "shape", "SNR", "cosine", "noise", "added"],
        [_row(layer) for layer in report.layers],
    )
    sys.stdout.write(f"Input: {_decibel(report.input_snr_db)}. {name_worst(report.worst(_WORST))}\n")


def name_worst(layers: tuple[LayerLoss, ...]) -> str:
    """One sentence about the operators that lose most."""
    if not layers:
        return "No operator adds noise."
    words = (
        f"{layer.op} {layer.index}{f' ({layer.short_name})' if layer.name else ''} {layer.added:+.2%}"
        for layer in layers
    )
    return f"Most noise is added by {', '.join(words)}."


def _row(layer: LayerLoss) -> list[str]:
    return [
        str(layer.index),
        layer.op,
        layer.short_name,
        "x".join(map(str, layer.output_shape)),
        _decibel(layer.snr_db),
        "-" if layer.cosine is None else f"{layer.cosine:.5f}",
        f"{layer.noise:.3%}",
        f"{layer.added:+.3%}",
    ]


def _decibel(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f} dB"

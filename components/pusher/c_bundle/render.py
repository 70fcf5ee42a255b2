"""Renders the C bundle: what a firmware project adds to its sources to run one model.

    person_detect_model_data.h     declares g_person_detect_model_data and ..._size
    person_detect_model_data.cc    the flatbuffer's bytes, const and aligned to 16
    person_detect_arena.h          kTensorArenaSize
    model_settings.h               shape, labels, quantization, QuantizePixel

The names are those of TFLite Micro's generate_cc_arrays.py and of its person_detection example, whose
main_functions.cc compiles unchanged against the headers. kTensorArenaSize has a header of its own because the
example defines that name itself: both in one translation unit would be ambiguous.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import jinja2

from components.errors import ReleaseError
from components.pixels import HALF_RANGE, INT8_OFFSET
from components.pusher.c_bundle.c_names import c_float, c_string, camel_case, check_bundle_name
from components.quantization.contracts import TensorContract

BYTES_PER_LINE = 12
ARENA_ALIGNMENT = 16


@dataclass(frozen=True)
class BundleSpec:
    """Everything that the bundle's files are a function of.

    Attributes:
      name: part of the C identifiers and file names, such as `person_detect`.
      flatbuffer: the `.tflite` that ships.
      labels: one per output, in output order, such as `("not-person", "person")`.
      positive: the label that the other one is the rest of, such as `person`; None where no label is special.
      input: contract of the image input, int8 [1, rows, columns, channels].
      output: contract of the scores, int8 [1, labels].
      arena_bytes: what TFLite Micro used of the tensor arena on the 64-bit host.
      arena_margin_bytes: what is added to it.
      model: the model's name, for the provenance lines.
      vww_version: version of the code that renders.
    """

    name: str
    flatbuffer: bytes
    labels: tuple[str, ...]
    positive: str | None
    input: TensorContract
    output: TensorContract
    arena_bytes: int
    arena_margin_bytes: int
    model: str
    vww_version: str

    @property
    def tensor_arena_size(self) -> int:
        """Measured bytes and margin, rounded up to the alignment that TFLite Micro asks for."""
        return -(-(self.arena_bytes + self.arena_margin_bytes) // ARENA_ALIGNMENT) * ARENA_ALIGNMENT

    @property
    def index_names(self) -> dict[str, int]:
        """C constant to label id: `kPersonIndex` and `kNotAPersonIndex` of a positive label and its one opposite,
        otherwise one constant a label, such as `kCatIndex`.

        Raises:
          ReleaseError: if a label cannot be written as a C identifier.
        """
        if self.positive is not None and len(self.labels) == 2:
            name, index = camel_case(self.positive), self.labels.index(self.positive)
            return {f"k{name}Index": index, f"kNotA{name}Index": 1 - index}
        return {f"k{camel_case(label)}Index": index for index, label in enumerate(self.labels)}


def render_bundle(spec: BundleSpec) -> dict[str, bytes]:
    """File name to content, byte-identical for identical input.

    Raises:
      ReleaseError: if the name or a label cannot be written in C, or the contracts are not those of an
        int8 image classifier that takes `pixel - 128`.
    """
    check_bundle_name(spec.name)
    _check_classes(spec)
    _check_pixel_contract(spec.input)
    values = {
        "spec": spec,
        "sha256": hashlib.sha256(spec.flatbuffer).hexdigest(),
        "array_lines": _array_lines(spec.flatbuffer),
        "alignment": ARENA_ALIGNMENT,
        "int8_offset": INT8_OFFSET,
    }
    files = {
        f"{spec.name}_model_data.h": "model_data.h.jinja",
        f"{spec.name}_model_data.cc": "model_data.cc.jinja",
        f"{spec.name}_arena.h": "arena.h.jinja",
        "model_settings.h": "model_settings.h.jinja",
    }
    return {name: _templates().get_template(template).render(values).encode() for name, template in files.items()}


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is C; c_string escapes what users wrote
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(c_string=c_string, c_float=c_float)
    return environment


def _array_lines(data: bytes) -> list[str]:
    """The bytes as `0x1c, 0x00, ...`, in lines of twelve as xxd prints them."""
    lines = (data[start : start + BYTES_PER_LINE] for start in range(0, len(data), BYTES_PER_LINE))
    return [f"0x{line.hex(' ').replace(' ', ', 0x')}," for line in lines]


def _check_classes(spec: BundleSpec) -> None:
    is_known = spec.positive is None or spec.positive in spec.labels
    if len(spec.labels) < 2 or len(set(spec.labels)) != len(spec.labels) or not is_known:
        raise ReleaseError(
            f"the bundle holds a classifier: received labels={spec.labels}, positive={spec.positive!r}",
            expected="at least two labels, each once, and a positive label that is one of them",
        )
    if spec.output.shape != (1, len(spec.labels)) or not _is_full_integer(spec.output):
        raise ReleaseError(
            f"the model's output does not fit its labels: received output={spec.output!r}",
            expected=f"int8 [1, {len(spec.labels)}] with scale and zero point",
        )


def _is_full_integer(contract: TensorContract) -> bool:
    return contract.dtype == "int8" and contract.scale is not None and contract.zero_point is not None


def _check_pixel_contract(contract: TensorContract) -> None:
    """Raises ReleaseError if `pixel - 128` is more than one code away from what the float model was trained on."""
    if len(contract.shape) != 4 or contract.shape[0] != 1 or not _is_full_integer(contract):
        raise ReleaseError(
            f"the model's input is no full-integer image: received input={contract!r}",
            expected="int8 [1, rows, columns, channels] with scale and zero point",
        )
    scale, zero_point = contract.scale or 0.0, contract.zero_point or 0
    distances = (
        (pixel / HALF_RANGE - 1.0) - (pixel - INT8_OFFSET - zero_point) * scale for pixel in (0, INT8_OFFSET, 255)
    )
    if scale <= 0.0 or any(abs(distance) > scale for distance in distances):
        raise ReleaseError(
            f"QuantizePixel (pixel - {INT8_OFFSET}) does not feed this model what it was trained on:"
            f" received scale={scale}, zero_point={zero_point}",
            expected="about scale=2/255 with zero_point -1 or 0 (docs/decisions/0003-pixel-contract.md)",
            hint="calibrate with a black and a white image among the others, so that the range is [-1, 1]",
        )

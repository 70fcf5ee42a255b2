"""Renders the C bundle: what a firmware project adds to its sources to run one model.

    person_detect_model_data.{h,cc}    the flatbuffer's bytes, const and aligned to 16
    model_settings.{h,cc}              shape, labels, quantization, operating point
    person_detect_op_resolver.h        the operators that the model uses
    person_detect_arena.h              kTensorArenaSize
    person_detect_preprocess.h         from camera rows to input codes, in plain C
    person_detect_golden.{h,cc}        real images and the codes they were answered with
    person_detect_self_test.cc         runs them on the target
    CMakeLists.txt  library.json       for CMake and PlatformIO
    README.md                          for the firmware's author

The names are those of TFLite Micro's generate_cc_arrays.py and of its person_detection example, whose sources compile
unchanged against model_settings.h and person_detect_model_data.h. kTensorArenaSize has a header of its own because
the example defines that name itself: both in one translation unit would be ambiguous.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from components.pixels import INT8_OFFSET
from components.pusher.c_bundle.c_names import c_float, c_string
from components.pusher.c_bundle.op_resolver import add_methods
from components.pusher.c_bundle.spec import ARENA_ALIGNMENT, BundleSpec, check_spec

BYTES_PER_LINE = 12
_TEMPLATES = Path(__file__).parent / "templates"
_INCLUDED = "provenance.jinja"
_APPLICATION_PARTS = ("arena", "model_data", "op_resolver", "preprocess")
_APPLICATION_TFLM = ("c/common", "micro/micro_interpreter", "schema/schema_generated")
_SHARED_NAMES = ("model_settings.h", "model_settings.cc", "CMakeLists.txt", "README.md")


def render_bundle(spec: BundleSpec) -> dict[str, bytes]:
    """File name to content, byte-identical for identical input.

    Raises:
      ReleaseError: if the name or a label cannot be written in C, if TFLite Micro lacks an operator, or if contracts
        and golden vectors are not those of an int8 image classifier that takes `pixel - 128`.
    """
    check_spec(spec)
    environment, values = _environment(), _values(spec)
    files = {
        _file_name(spec, template): environment.get_template(template).render(values).encode()
        for template in environment.list_templates(filter_func=lambda name: name != _INCLUDED)
    }
    return files | {"library.json": _platformio_library(spec, values["sha256"])}


def _values(spec: BundleSpec) -> dict[str, Any]:
    """What the templates are filled with."""
    is_gray = spec.input.shape[3] == 1
    pixels = (spec.golden.inputs.astype(np.int16) + INT8_OFFSET).astype(np.uint8)
    return {
        "spec": spec,
        "sha256": hashlib.sha256(spec.flatbuffer).hexdigest(),
        "methods": add_methods(spec.ops),
        "colour": "gray" if is_gray else "rgb",
        "source": "gray" if is_gray else "rgb888",
        "alignment": ARENA_ALIGNMENT,
        "int8_offset": INT8_OFFSET,
        "golden_pixels": [image.tobytes() for image in pixels],
        "golden_outputs": spec.golden.outputs[0].tolist(),
        "application_headers": _headers(spec, _APPLICATION_PARTS, _APPLICATION_TFLM),
        "self_test_headers": _headers(
            spec, (*_APPLICATION_PARTS, "golden"), (*_APPLICATION_TFLM, "micro/micro_log", "micro/system_setup")
        ),
    }


def _file_name(spec: BundleSpec, template: str) -> str:
    name = template.removesuffix(".jinja")
    return name if name in _SHARED_NAMES else f"{spec.name}_{name}"


def _headers(spec: BundleSpec, parts: Sequence[str], tflm: Sequence[str]) -> list[str]:
    """The headers that a program includes, in clang-format's order, which depends on the bundle's name."""
    own = (f"{spec.name}_{part}.h" for part in parts)
    return sorted(["model_settings.h", *own, *(f"tensorflow/lite/{header}.h" for header in tflm)])


def _platformio_library(spec: BundleSpec, sha256: str) -> bytes:
    """PlatformIO's manifest: the library without its self test, its version that of vww and of the flatbuffer."""
    on_request = (f"{spec.name}_golden.cc", f"{spec.name}_self_test.cc")
    manifest = {
        "name": spec.name,
        "version": f"{spec.vww_version}+{sha256[:12]}",
        "description": f"The image classifier {spec.model} for TensorFlow Lite Micro",
        "frameworks": "*",
        "platforms": "*",
        "headers": [f"{spec.name}_model_data.h", "model_settings.h"],
        "build": {
            "srcDir": ".",
            "includeDir": ".",
            "srcFilter": ["+<*.cc>", *(f"-<{name}>" for name in on_request)],
        },
    }
    return (json.dumps(manifest, indent=2) + "\n").encode()


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is C; c_string escapes what users wrote
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(c_string=c_string, c_float=c_float, c_bytes=_c_bytes)
    return environment


def _c_bytes(data: bytes) -> list[str]:
    """The bytes as `0x1c, 0x00, ...`, in lines of twelve as xxd prints them."""
    lines = (data[start : start + BYTES_PER_LINE] for start in range(0, len(data), BYTES_PER_LINE))
    return [f"0x{line.hex(' ').replace(' ', ', 0x')}," for line in lines]

"""Renders the C bundle: what a firmware project adds to its sources to run one model.

    person_detect_model_data.{h,cc}    the flatbuffer's bytes, const and aligned to 16
    model_settings.{h,cc}              shape, labels, quantization, of a classifier the operating point
    person_detect_op_resolver.h        the operators that the model uses
    person_detect_arena.h              kTensorArenaSize
    person_detect_preprocess.h         from camera rows to input codes, in plain C
    person_detect_golden.{h,cc}        real images and the codes they were answered with
    person_detect_self_test.cc         runs them on the target
    CMakeLists.txt  library.json       for CMake and PlatformIO
    README.md                          for the firmware's author

and of a detector:

    person_detect_detect.{h,c}         from output codes to boxes, in plain C

The names are those of TFLite Micro's generate_cc_arrays.py and, of a classifier, of its person_detection example, whose
sources compile unchanged against model_settings.h and person_detect_model_data.h. kTensorArenaSize has a header of its
own because the example defines that name itself: both in one translation unit would be ambiguous.
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
from components.pusher.c_bundle.c_layout import c_bytes, c_declaration, c_integers
from components.pusher.c_bundle.c_names import c_float, c_string
from components.pusher.c_bundle.detector_values import detector_values
from components.pusher.c_bundle.op_resolver import add_methods
from components.pusher.c_bundle.spec import ARENA_ALIGNMENT, BundleSpec, check_spec

_TEMPLATES = Path(__file__).parent / "templates"
_INCLUDED = "provenance.jinja"
_APPLICATION_PARTS = ("arena", "model_data", "op_resolver", "preprocess")
_APPLICATION_TFLM = ("c/common", "micro/micro_interpreter", "schema/schema_generated")
_SHARED_NAMES = ("model_settings.h", "model_settings.cc", "CMakeLists.txt", "README.md")


def render_bundle(spec: BundleSpec) -> dict[str, bytes]:
    """File name to content, byte-identical for identical input.

    Raises:
      ReleaseError: if the name or a label cannot be written in C, if TFLite Micro lacks an operator, or if contracts
        and golden vectors are not those of an int8 classifier or detector that takes an image as `pixel - 128`.
    """
    check_spec(spec)
    kind = "classifier" if spec.detector is None else "detector"
    environment, values = _environment(kind), _values(spec)
    files = {
        _file_name(spec, template): environment.get_template(template).render(values).encode()
        for template in environment.list_templates(filter_func=lambda name: name != _INCLUDED and "/" not in name)
    }
    return files | {"library.json": _platformio_library(spec, values["sha256"])}


def _values(spec: BundleSpec) -> dict[str, Any]:
    """What the templates are filled with."""
    parts = _APPLICATION_PARTS if spec.detector is None else (*_APPLICATION_PARTS, "detect")
    of_kind = {"golden_outputs": spec.golden.outputs[0].tolist()} if spec.detector is None else detector_values(spec)
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
        "application_headers": _headers(spec, parts, _APPLICATION_TFLM),
        "self_test_headers": _headers(
            spec, (*parts, "golden"), (*_APPLICATION_TFLM, "micro/micro_log", "micro/system_setup")
        ),
        **of_kind,
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
    kind, sources = ("classifier", ["+<*.cc>"]) if spec.detector is None else ("detector", ["+<*.c>", "+<*.cc>"])
    headers = [f"{spec.name}_model_data.h", "model_settings.h"]
    manifest = {
        "name": spec.name,
        "version": f"{spec.vww_version}+{sha256[:12]}",
        "description": f"The image {kind} {spec.model} for TensorFlow Lite Micro",
        "frameworks": "*",
        "platforms": "*",
        "headers": headers if spec.detector is None else [*headers, f"{spec.name}_detect.h"],
        "build": {
            "srcDir": ".",
            "includeDir": ".",
            "srcFilter": [*sources, *(f"-<{name}>" for name in on_request)],
        },
    }
    return (json.dumps(manifest, indent=2) + "\n").encode()


@functools.cache
def _environment(kind: str) -> jinja2.Environment:
    """Of the templates that all bundles have, and those of a classifier or a detector."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader((_TEMPLATES, _TEMPLATES / kind)),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is C; c_string escapes what users wrote
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(c_string=c_string, c_float=c_float, c_bytes=c_bytes)
    environment.filters.update(c_integers=c_integers, c_declaration=c_declaration)
    return environment

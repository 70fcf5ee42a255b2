"""The generated files as a person reads them; everything but the arrays of a real model."""

import re
from dataclasses import replace

import pytest

from components.pusher.c_bundle.render import render_bundle

ARRAY = re.compile(r"(\n +0x[^\n]*)+")
SHORT = "\n        ... of the flatbuffer or an image ..."


@pytest.mark.parametrize(
    "name",
    [
        "model_settings.h",
        "model_settings.cc",
        "person_detect_arena.h",
        "person_detect_golden.cc",
        "person_detect_golden.h",
        "person_detect_model_data.cc",
        "person_detect_model_data.h",
        "person_detect_op_resolver.h",
        "person_detect_preprocess.h",
        "person_detect_self_test.cc",
        "CMakeLists.txt",
        "library.json",
        "README.md",
    ],
)
def test_file_of_a_small_model_reads_as_it_did(golden, spec, name):
    text = render_bundle(spec)[name].decode()
    golden(f"c_bundle/{name}", ARRAY.sub(SHORT, text))


def test_settings_of_another_positive_label_read_as_they_did(golden, of_labels):
    spec = of_labels(("not-traffic light", "traffic light"), "traffic light")
    golden("c_bundle/traffic_light_settings.h", render_bundle(spec)["model_settings.h"].decode())


def test_files_of_three_labels_in_colour_read_as_they_did(golden, of_labels):
    files = render_bundle(replace(of_labels(("background", "cat", "traffic light"), None, channels=3)))
    golden("c_bundle/three_labels_settings.h", files["model_settings.h"].decode())
    golden("c_bundle/three_labels_preprocess.h", files["person_detect_preprocess.h"].decode())
    golden("c_bundle/three_labels_README.md", files["README.md"].decode())

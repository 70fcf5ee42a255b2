from dataclasses import replace

import pytest

from components.pusher.c_bundle.render import BundleSpec, render_bundle
from components.quantization.contracts import TensorContract

SPEC = BundleSpec(
    name="person_detect",
    flatbuffer=bytes(range(40)),
    labels=("not-person", "person"),
    positive="person",
    input=TensorContract(name="image", shape=(1, 96, 96, 1), dtype="int8", scale=0.007843137718737125, zero_point=-1),
    output=TensorContract(name="scores", shape=(1, 2), dtype="int8", scale=1 / 256, zero_point=-128),
    arena_bytes=85_264,
    arena_margin_bytes=4096,
    model="demo",
    vww_version="0.1.0",
)


@pytest.mark.parametrize(
    "name", ["person_detect_model_data.h", "person_detect_model_data.cc", "person_detect_arena.h", "model_settings.h"]
)
def test_bundle_of_a_small_flatbuffer_reads_as_it_did(golden, name):
    golden(f"c_bundle/{name}", render_bundle(SPEC)[name].decode())


def test_settings_of_another_positive_label_read_as_they_did(golden):
    spec = replace(SPEC, labels=("not-traffic light", "traffic light"), positive="traffic light")
    golden("c_bundle/traffic_light_settings.h", render_bundle(spec)["model_settings.h"].decode())


def test_settings_of_three_labels_read_as_they_did(golden):
    output = SPEC.output.model_copy(update={"shape": (1, 3)})
    spec = replace(SPEC, labels=("background", "cat", "traffic light"), positive=None, output=output)
    golden("c_bundle/three_labels_settings.h", render_bundle(spec)["model_settings.h"].decode())

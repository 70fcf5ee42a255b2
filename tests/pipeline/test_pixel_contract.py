"""One rule from camera byte to model input, held together for all 256 bytes across what a run produced.

PNG of gray p -> Transform's graph -> raster p -> p / 127.5 - 1 -> int8 code p - 128 -> QuantizePixel(p)
"""

import io
import subprocess

import numpy as np
import pytest
from PIL import Image

from components import features, pixels

PIXELS = np.arange(256, dtype=np.uint8)


@pytest.fixture(scope="module")
def gray_pngs():
    """One PNG of 48 x 40 pixels for every gray level."""
    encoded = []
    for pixel in PIXELS:
        buffer = io.BytesIO()
        Image.new("L", (48, 40), int(pixel)).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    return encoded


@pytest.fixture(scope="module")
def saved_model(released):
    tf = pytest.importorskip("tensorflow")
    return tf.saved_model.load(str(released.release / "saved_model"))


def test_transform_graph_gray_image_gives_a_raster_of_the_same_gray(released, gray_pngs):
    import tensorflow as tf
    import tensorflow_transform as tft

    graph = tft.TFTransformOutput(str(released.output("Transform", "transform_graph"))).transform_features_layer()
    serialized = graph({features.ENCODED: tf.constant(gray_pngs)})[features.RASTER]
    rasters = np.stack([tf.io.parse_tensor(raster, tf.uint8).numpy() for raster in serialized])
    side = released.config.transform.side
    np.testing.assert_array_equal(rasters, np.broadcast_to(PIXELS[:, None, None, None], (256, side, side, 1)))


def test_serving_signature_gray_image_scores_like_its_normalized_raster(saved_model, released, gray_pngs):
    import tensorflow as tf

    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={features.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))}
            )
        ).SerializeToString()
        for png in gray_pngs
    ]
    served = saved_model.signatures[features.SERVING_SIGNATURE](examples=tf.constant(examples))
    classify = saved_model.signatures[features.PIXELS_SIGNATURE]
    shape = (1, released.config.transform.side, released.config.transform.side, 1)
    fed = [
        classify(image=tf.fill(shape, tf.constant(p / 127.5 - 1, tf.float32)))["probabilities"][0] for p in range(256)
    ]
    np.testing.assert_allclose(served[features.PROBABILITIES], np.stack(fed), atol=1e-4)  # other kernels for a batch


def test_int8_input_code_of_every_pixel_lies_within_half_a_step_of_its_value(released):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(released.release / "tiny_person.tflite"))
    (entry,) = interpreter.get_input_details()
    scale, zero_point = entry["quantization"]
    assert entry["dtype"] == np.int8
    assert scale == pytest.approx(2 / 255, rel=1e-6)
    codes = PIXELS.astype(int) - 128
    np.testing.assert_array_equal(codes, pixels.quantize(PIXELS))
    meant = PIXELS.astype(np.float64) / 127.5 - 1
    assert np.abs((codes - zero_point) * scale - meant).max() <= scale / 2 * (1 + 1e-4)  # the file keeps it as float32


def test_model_settings_h_quantizes_every_pixel_to_that_code_and_states_the_contract(released, tmp_path):
    program = tmp_path / "main.cc"
    program.write_text("""
        #include <cstdio>
        #include "model_settings.h"
        int main() {
          std::printf("%d %d %d %.9g %d %.9g %d\\n", kNumRows, kNumCols, kNumChannels, double{kInputScale},
                      kInputZeroPoint, double{kOutputScale}, kOutputZeroPoint);
          for (int pixel = 0; pixel < 256; ++pixel) {
            std::printf("%d\\n", QuantizePixel(static_cast<std::uint8_t>(pixel)));
          }
        }
    """)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", released.release]
    subprocess.run(["g++", *flags, program, "-o", tmp_path / "main"], check=True)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert list(map(int, printed[1:])) == [pixel - 128 for pixel in range(256)]
    contract = released.manifest["input"], released.manifest["output"]
    found = [float(word) for word in printed[0].split()]
    wanted = [*contract[0]["shape"][1:], *(c[key] for c in contract for key in ("scale", "zero_point"))]
    assert found == pytest.approx(wanted, rel=1e-7)

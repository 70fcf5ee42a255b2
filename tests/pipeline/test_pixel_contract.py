"""One rule from camera byte to model input, held together for all 256 bytes across what a run produced.

PNG of gray p -> Transform's graph -> raster p -> p / 127.5 - 1 -> int8 code p - 128 -> vww_gray_code(p)
"""

import io
import subprocess

import numpy as np
import pytest
from PIL import Image

from components import features, pixels

PIXELS = np.arange(256, dtype=np.uint8)


def encode_flat(colour, image_format, **options):
    """An image of 48 x 40 pixels, all of one gray level or one colour."""
    buffer = io.BytesIO()
    Image.new("RGB" if isinstance(colour, tuple) else "L", (48, 40), colour).save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def gray_pngs():
    """One PNG for every gray level."""
    return [encode_flat(int(pixel), "PNG") for pixel in PIXELS]


@pytest.fixture(scope="module")
def rasterize(released):
    """The run's transform graph, from encoded images to uint8 [n, side, side, 1]."""
    import tensorflow as tf
    import tensorflow_transform as tft

    graph = tft.TFTransformOutput(str(released.output("Transform", "transform_graph"))).transform_features_layer()

    def run(encoded):
        serialized = graph({features.ENCODED: tf.constant(encoded)})[features.RASTER]
        return np.stack([tf.io.parse_tensor(raster, tf.uint8).numpy() for raster in serialized])

    return run


@pytest.fixture
def compile_and_run(released, tmp_path):
    """Compiles a program against the released bundle and gives back what it prints."""

    def run(text):
        program = tmp_path / "main.cc"
        program.write_text(text)
        flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", released.release]
        subprocess.run(["g++", *flags, program, "-o", tmp_path / "main"], check=True)
        return subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout

    return run


@pytest.fixture(scope="module")
def saved_model(released):
    tf = pytest.importorskip("tensorflow")
    return tf.saved_model.load(str(released.release / "saved_model"))


def test_transform_graph_gray_image_gives_a_raster_of_the_same_gray(released, rasterize, gray_pngs):
    side = released.config.transform.side
    expected = np.broadcast_to(PIXELS[:, None, None, None], (256, side, side, 1))
    np.testing.assert_array_equal(rasterize(gray_pngs), expected)


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


def test_preprocess_h_gives_every_pixel_that_code_and_model_settings_h_states_the_contract(released, compile_and_run):
    printed = compile_and_run("""
        #include <cstdio>
        #include "model_settings.h"
        #include "tiny_person_preprocess.h"
        int main() {
          std::printf("%d %d %d %.9g %d %.9g %d\\n", kNumRows, kNumCols, kNumChannels, double{kInputScale},
                      kInputZeroPoint, double{kOutputScale}, kOutputZeroPoint);
          for (int pixel = 0; pixel < 256; ++pixel) std::printf("%d\\n", vww_gray_code((uint8_t)pixel));
        }
    """).splitlines()
    assert list(map(int, printed[1:])) == [pixel - 128 for pixel in range(256)]
    contract = released.manifest["input"], *released.manifest["outputs"]
    found = [float(word) for word in printed[0].split()]
    wanted = [*contract[0]["shape"][1:], *(c[key] for c in contract for key in ("scale", "zero_point"))]
    assert found == pytest.approx(wanted, rel=1e-7)


def test_preprocess_h_makes_of_rgb_the_gray_that_transform_makes_of_a_jpeg(rasterize, compile_and_run):
    colours = np.random.default_rng(0).integers(0, 256, (600, 3)).astype(np.uint8)
    jpegs = [encode_flat(tuple(map(int, colour)), "JPEG", quality=100, subsampling=0) for colour in colours]
    listed = ", ".join(map(str, colours.ravel()))
    printed = compile_and_run(f"""
        #include <cstdio>
        #include "tiny_person_preprocess.h"
        static const uint8_t rgb[] = {{{listed}}};
        int main() {{
          for (unsigned i = 0; i < sizeof(rgb); i += 3) {{
            std::printf("%d\\n", vww_gray_from_rgb(rgb[i], rgb[i + 1], rgb[i + 2]));
          }}
        }}
    """).splitlines()
    assert list(map(int, printed)) == rasterize(jpegs)[:, 0, 0, 0].tolist()

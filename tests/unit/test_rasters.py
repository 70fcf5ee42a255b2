import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.rasters import encode_raster, encode_smaller, rasterize
from components.transformed_examples import decode_raster

KINDS = [
    "gray_jpeg",
    "colour_jpeg",
    "colour_jpeg_without_subsampling",
    "progressive_jpeg",
    "gray_png",
    "colour_png",
    "small_png",
    "exact_png",
]


def triangle_weights(size, target):
    """[target, size] weights of a triangle as wide as a target pixel, or as a source pixel if that is wider."""
    scale = size / target
    centers = (np.arange(target) + 0.5) * scale
    distances = np.abs(np.arange(size) + 0.5 - centers[:, np.newaxis]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return weights / weights.sum(axis=1, keepdims=True)


def resize(pixels, side):
    """Antialiased bilinear resize of [height, width, channels] in NumPy, before rounding."""
    rows, columns = (triangle_weights(size, side) for size in pixels.shape[:2])
    planes = pixels.astype(np.float64).transpose(2, 0, 1)
    return (rows @ planes @ columns.T).transpose(1, 2, 0)


@pytest.fixture(scope="module")
def image(encoded_images):
    by_name = {image.name: image for image in encoded_images}
    assert sorted(by_name) == sorted(KINDS)
    return by_name


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_rasterize_eagerly_and_inside_tf_data_gives_the_same_bytes(image, kind, channels):
    eager = rasterize(tf.constant(image[kind].data), 96, channels)
    dataset = tf.data.Dataset.from_tensors(image[kind].data).map(lambda encoded: rasterize(encoded, 96, channels))
    assert dataset.element_spec == tf.TensorSpec([96, 96, channels], tf.uint8)
    assert eager.shape == (96, 96, channels)
    assert eager.dtype == tf.uint8
    np.testing.assert_array_equal(eager.numpy(), next(dataset.as_numpy_iterator()))


def test_rasterize_inside_the_transform_graph_gives_the_same_bytes(image, transform_graph):
    for encoded, serialized in zip(image.values(), transform_graph.outputs["raster"], strict=True):
        eager = rasterize(tf.constant(encoded.data), 32, 1)
        assert serialized == encode_raster(eager).numpy(), encoded.name


@pytest.mark.parametrize("size", [(320, 240), (96, 96), (40, 500), (3, 5)], ids=str)
def test_rasterize_constant_image_of_every_gray_keeps_it(encode, size):
    width, height = size
    grays = np.arange(256, dtype=np.uint8)
    images = [encode(np.full((height, width, 1), gray, np.uint8), "PNG", compress_level=1) for gray in grays]
    dataset = tf.data.Dataset.from_tensor_slices(images).map(lambda encoded: rasterize(encoded, 96, 1))
    rasters = np.stack(list(dataset.as_numpy_iterator()))
    np.testing.assert_array_equal(rasters, np.broadcast_to(grays[:, None, None, None], rasters.shape))


def test_rasterize_one_pixel_checkerboard_shrinks_to_mid_gray(encode):
    board = (np.indices((384, 384)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., np.newaxis]
    raster = rasterize(tf.constant(encode(board, "PNG")), 96, 1).numpy()
    inner = raster[1:-1, 1:-1]
    assert np.abs(inner.astype(int) - 128).max() <= 1
    assert np.abs(raster.astype(int) - 128).max() <= 12  # at the border the filter is cut off


def test_rasterize_wide_image_is_squeezed_not_cropped(encode):
    left_half_white = np.zeros((50, 200, 1), np.uint8)
    left_half_white[:, :100] = 255
    raster = rasterize(tf.constant(encode(left_half_white, "PNG")), 96, 1).numpy()
    assert (raster[:, :46] == 255).all()
    assert (raster[:, 50:] == 0).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(640, 427), (97, 500), (96, 96), (30, 20), (1, 1)], ids=str)
def test_rasterize_is_the_triangle_filter_within_one_level(encode, draw, size, channels):
    pixels = draw(*size, channels, seed=3)
    raster = rasterize(tf.constant(encode(pixels, "PNG")), 96, channels).numpy()
    difference = np.abs(raster - np.rint(resize(pixels, 96)))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize("kind", ["colour_jpeg", "progressive_jpeg"])
def test_rasterize_gray_of_a_colour_jpeg_is_its_luma_plane(image, kind):
    picture = Image.open(io.BytesIO(image[kind].data))
    picture.draft("L", picture.size)
    assert picture.mode == "L"
    luma = np.asarray(picture)[..., np.newaxis]
    difference = np.abs(rasterize(tf.constant(image[kind].data), 96, 1).numpy() - np.rint(resize(luma, 96)))
    assert difference.max() <= 2  # TensorFlow takes libjpeg's fast inverse DCT, Pillow the accurate one
    assert difference.mean() < 0.6


@pytest.mark.parametrize("kind", ["gray_jpeg", "gray_png"])
def test_rasterize_rgb_of_a_gray_image_repeats_it(image, kind):
    rgb = rasterize(tf.constant(image[kind].data), 96, 3).numpy()
    gray = rasterize(tf.constant(image[kind].data), 96, 1).numpy()
    np.testing.assert_array_equal(rgb, np.repeat(gray, 3, axis=-1))


def test_rasterize_rgb_keeps_the_order_of_colours(encode):
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 200
    assert rasterize(tf.constant(encode(red, "PNG")), 32, 3).numpy()[5, 5].tolist() == [200, 0, 0]


def test_rasterize_exif_orientation_is_ignored(encode, draw):
    pixels = draw(60, 40, 1, seed=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(pixels, "JPEG", quality=90, exif=exif)
    np.testing.assert_array_equal(
        rasterize(tf.constant(turned), 32, 1), rasterize(tf.constant(encode(pixels, "JPEG", quality=90)), 32, 1)
    )


def test_rasterize_what_is_no_image_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError):
        rasterize(tf.constant(b"no image"), 96, 1)


@pytest.mark.parametrize(("shape", "size"), [((96, 96, 1), 9_235), ((96, 96, 3), 27_668), ((32, 32, 1), 1_043)])
def test_encode_raster_reads_back_and_costs_a_byte_a_value(draw, shape, size):
    pixels = draw(*shape, seed=5)
    serialized = encode_raster(tf.constant(pixels))
    assert len(serialized.numpy()) == size
    np.testing.assert_array_equal(decode_raster(serialized, shape), pixels)


def test_decode_raster_of_another_shape_is_refused():
    serialized = encode_raster(tf.zeros([32, 32, 1], tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.data.Dataset.from_tensors(serialized).map(lambda s: decode_raster(s, (96, 96, 1))).get_single_element()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_encode_smaller_reads_back_as_the_raster_whichever_it_keeps(image, kind, channels):
    for side in (32, 160):
        shape = (side, side, channels)
        encoded = tf.constant(image[kind].data)
        raster = rasterize(encoded, side, channels)
        smaller = encode_smaller(raster, encoded)
        assert len(smaller.numpy()) == min(len(image[kind].data), len(encode_raster(raster).numpy()))
        read = tf.data.Dataset.from_tensors(smaller).map(lambda passed, shape=shape: decode_raster(passed, shape))
        np.testing.assert_array_equal(read.get_single_element(), raster)

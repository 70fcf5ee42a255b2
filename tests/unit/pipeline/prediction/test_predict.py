"""Images of every kind that people have, as they come to a model; the model here says what it was shown."""

import numpy as np
import pytest
from PIL import Image

from pipeline.prediction.images import find_images
from pipeline.prediction.predict import _draw, _predict_share
from pipeline.prediction.predictor import Predictor
from pipeline.prediction.records import LabelPrediction

LEFT, RIGHT = (200, 40, 40), (20, 90, 220)


def brightness(rasters, sights):
    """Of the halves of what was shown, in place of probabilities."""
    halves = [raster[..., 0].reshape(8, 2, 4).mean(axis=(0, 2)) for raster in rasters]
    return [
        LabelPrediction(
            file=sight.file, width=sight.width, height=sight.height, label="left", is_reported=None,
            probabilities=dict(zip(("left", "right"), half.tolist(), strict=True)),
        )
        for sight, half in zip(sights, halves, strict=True)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[:, :45], pixels[:, 45:] = LEFT, RIGHT
    image, folder = Image.fromarray(pixels), tmp_path / "images"
    folder.mkdir()
    image.save(folder / "plain.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.quantize(2).save(folder / "palette.png")
    image.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(folder / "16_bit.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned to the right
    image.rotate(90, expand=True).save(folder / "turned.jpg", exif=turned, quality=95)
    (folder / "broken.jpg").write_bytes((folder / "cmyk.jpg").read_bytes()[:300])
    (folder / "empty.png").write_bytes(b"")
    return folder


def test_predict_folder_of_odd_images_sees_one_picture_in_all_and_names_the_broken_ones(folder, tmp_path):
    predictor = Predictor("brightness", (8, 8, 1), ("left", "right"), brightness)
    images = find_images([folder], tmp_path / "drawn").images
    found, bad = _predict_share(predictor, images, 0, len(images))
    assert [each.file.rpartition("/")[2] for each in bad] == ["broken.jpg", "empty.png"]
    assert len(found) == len(images) - 2
    shown = {each.file.rpartition("/")[2]: each for each in found}
    assert {(each.width, each.height) for each in found} == {(90, 60)}
    for name, each in shown.items():
        expected = list(shown["plain.png"].probabilities.values())
        assert list(each.probabilities.values()) == pytest.approx(expected, abs=6), name
    assert _draw(found, predictor.labels, {image.path: image.drawing for image in images}) == []
    drawn = {path.name: np.asarray(Image.open(path).convert("L"), int) for path in (tmp_path / "drawn").iterdir()}
    assert set(drawn) == {
        "16_bit.png.jpg", "alpha.png.jpg", "cmyk.jpg", "palette.png.jpg", "plain.png.jpg", "turned.jpg"
    }  # fmt: skip
    for name, pixels in drawn.items():
        difference = np.abs(pixels - drawn["plain.png.jpg"])[24:]  # below the label that is written in
        assert np.median(difference) < 6, name

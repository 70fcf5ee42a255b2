import numpy as np
import pytest
from PIL import Image

from pipeline.prediction.drawing import COLOURS, draw_prediction
from pipeline.prediction.records import Detection, DetectionPrediction, LabelPrediction

SIZE = 200, 160
LABELS = ("background", "stop", "yield")


@pytest.fixture
def gray(tmp_path):
    path = tmp_path / "gray.png"
    Image.new("RGB", SIZE, (90, 90, 90)).save(path)
    return path


def drawn(prediction, tmp_path):
    draw_prediction(prediction, LABELS, tmp_path / "new" / "drawn.jpg")
    with Image.open(tmp_path / "new" / "drawn.jpg") as image:
        assert image.size == SIZE
        return np.asarray(image.convert("RGB")).astype(int)


def test_draw_prediction_box_is_drawn_where_it_is_in_its_labels_colour(gray, tmp_path):
    box = Detection(label="yield", score=0.9, box_yxyx=(0.25, 0.1, 0.75, 0.4), box_xywh_px=(20, 40, 60, 80))
    pixels = drawn(
        DetectionPrediction(file=str(gray), width=SIZE[0], height=SIZE[1], detections=(box,)),
        tmp_path,
    )
    colour = [int(COLOURS[2][at : at + 2], 16) for at in (1, 3, 5)]
    differs = np.abs(pixels - colour).max(axis=-1) < 50
    assert differs[41, 30:70].all()
    assert differs[50:110, 20].all()
    assert not differs[130:].any()
    assert (np.abs(pixels[60:100, 30:70] - 90) < 10).all()


def test_draw_prediction_label_is_written_into_the_corner(gray, tmp_path):
    pixels = drawn(
        LabelPrediction(
            file=str(gray), width=SIZE[0], height=SIZE[1], label="stop", probabilities={"stop": 0.8}, is_reported=True
        ),
        tmp_path,
    )
    assert pixels[:14, :60].max() > 240
    assert (np.abs(pixels[40:] - 90) < 10).all()

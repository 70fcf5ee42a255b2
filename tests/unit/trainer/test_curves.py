"""What TensorBoard reads of a training, beside the curves of test_run_fn."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.trainer.curves import IMAGES, PR_THRESHOLDS, Curves, draw_confusion, draw_rasters, precision_recall
from components.trainer.objectives.classification import ClassifierEvaluation


def written(folder, part):
    return EventAccumulator(str(folder / part), {"tensors": 0}).Reload()


def test_precision_recall_counts_what_reaches_each_threshold():
    scores = np.array([0.0, 0.25, 0.5, 0.5, 0.9, 1.0])
    is_positive = np.array([False, True, False, True, True, True])
    data = precision_recall(scores, is_positive)
    assert data.shape == (6, PR_THRESHOLDS)
    assert data[:4, 0].tolist() == [4, 2, 0, 0]  # everything reaches 0
    assert data[:4, 50].tolist() == [3, 1, 1, 1]
    assert data[4:, 50].tolist() == [0.75, 0.75]
    assert data[:4, 100].tolist() == [1, 0, 2, 3]
    assert data[4:, 100].tolist() == [1.0, 0.25]


def test_precision_recall_of_a_split_without_positives_is_all_zero_and_finite():
    data = precision_recall(np.array([0.1, 0.9]), np.array([False, False]))
    assert np.isfinite(data).all()
    assert not data[4:].any()


def test_draw_confusion_shades_cells_by_their_share_of_the_row():
    picture = draw_confusion(np.array([[90, 10], [0, 5]]))
    cells = [picture[40 + 72 * row + 4, 40 + 72 * column + 4].tolist() for row in range(2) for column in range(2)]
    assert cells[3] == [8, 81, 156]
    assert cells[2] == [255, 255, 255]
    assert cells[0] == [33, 98, 166]
    assert picture.dtype == np.uint8
    assert picture.shape == (184, 184, 3)


@pytest.mark.parametrize(("labels", "tags"), [(2, [1]), (3, [0, 1, 2])])
def test_write_evaluation_has_a_pr_curve_of_each_label_and_the_confusion(tmp_path, labels, tags):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(labels), 60)
    evaluation = ClassifierEvaluation({}, probabilities, random.integers(0, labels, 60))
    Curves(str(tmp_path)).write_evaluation(0, evaluation)
    events = written(tmp_path, "validation")
    curves = events.PluginTagToContent("pr_curves")
    assert sorted(curves) == [f"pr_curve/label_{tag}" for tag in tags]
    assert "confusion" in events.PluginTagToContent("images")


def test_write_images_are_the_bytes_that_the_model_sees(tmp_path):
    rasters = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    curves = Curves(str(tmp_path))
    curves.write_images(draw_rasters(tf.constant(rasters / 127.5 - 1, tf.float32)), 0)
    curves.write_step(10, {"loss": 0.5, "accuracy": 0.75}, 381.0)
    curves._train.flush()
    events = written(tmp_path, "train")
    (event,) = events.Tensors("train_images")
    _, _, *pictures = tf.make_ndarray(event.tensor_proto)
    assert len(pictures) == IMAGES
    for picture, raster in zip(pictures, rasters, strict=False):
        np.testing.assert_array_equal(tf.io.decode_png(picture), raster)
    assert {"step_loss", "step_accuracy", "images_per_second"} <= set(events.PluginTagToContent("scalars"))

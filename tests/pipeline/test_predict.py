"""`vww predict` on what a run released, against what the run itself measured."""

import json

import numpy as np
import pytest

from components.features import EVAL
from components.pusher.manifest import read_manifest
from components.transformed_examples import split_files
from pipeline.config import read_config


@pytest.fixture(scope="module")
def eval_images(released):
    """Path and label of every image of the eval split."""
    import tensorflow as tf

    from components import features

    found = {}
    for record in tf.data.TFRecordDataset(split_files(str(released.output("CocoExampleGen", "examples")), EVAL)):
        example = tf.train.Example.FromString(record.numpy()).features.feature
        name = example[features.FILENAME].bytes_list.value[0].decode()
        found[str(released.data / "images" / name)] = example[features.LABEL].int64_list.value[0]
    return found


def predict(vww, *arguments):
    code, stdout, stderr = vww("predict", *arguments)
    return code, [json.loads(line) for line in stdout.splitlines()], stderr


def test_predict_eval_images_gives_the_accuracy_and_rates_that_were_recorded(released, vww, eval_images, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    code, lines, stderr = predict(vww, "tiny", bad, *eval_images, "--uri", released.uri, "--draw", tmp_path / "drawn")
    assert code == 1
    assert "1 of" in stderr
    assert "bad.jpg" in stderr
    assert [line["file"] for line in lines] == list(eval_images)
    manifest = read_manifest(released.release)
    quality, point = manifest.figures.int8_metrics[EVAL], manifest.figures.operating_point
    is_right = [line["label"] == manifest.labels[eval_images[line["file"]]] for line in lines]
    assert np.mean(is_right) == pytest.approx(quality.accuracy)
    reported = [line["is_reported"] for line in lines if eval_images[line["file"]] == point.index]
    assert sum(reported) == point.rates[EVAL].recall.count
    assert len(list((tmp_path / "drawn").iterdir())) == len(eval_images)


def test_predict_float_and_portable_file_of_a_fetched_release_do_as_recorded(released, vww, eval_images, tmp_path):
    code, _, stderr = vww("releases", "fetch", "tiny", "staging", tmp_path / "copy", "--uri", released.uri)
    assert code == 0, stderr
    manifest = read_manifest(released.release)

    def accuracy(*options):
        code, lines, _ = predict(vww, tmp_path / "copy", *eval_images, *options)
        assert code == 0
        return np.mean([line["label"] == manifest.labels[eval_images[line["file"]]] for line in lines])

    assert accuracy("--model", "float") == pytest.approx(manifest.figures.float_metrics[EVAL].accuracy)
    # One code off, as LiteRT may be, can turn an image that stands between two labels.
    assert accuracy("--runtime", "litert") == pytest.approx(
        manifest.figures.int8_metrics[EVAL].accuracy, abs=1.5 / len(eval_images)
    )


def test_predict_damaged_release_is_refused(released, vww, eval_images, tmp_path):
    vww("releases", "fetch", "tiny", "staging", tmp_path / "copy", "--uri", released.uri)
    name = read_config(str(released.config_file)).release.c_name
    (tmp_path / "copy" / f"{name}_micro.tflite").write_bytes(b"TFL3")
    code, lines, stderr = predict(vww, tmp_path / "copy", next(iter(eval_images)))
    assert (code, lines) == (1, [])
    assert f"{name}_micro.tflite has 4 bytes" in stderr

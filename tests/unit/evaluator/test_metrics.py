"""The Evaluator on a detector whose answers are known beforehand, against pycocotools."""

import numpy as np
import pytest
import tensorflow as tf

from components import features
from components.detection.detections import Detections
from components.detection.evaluation_values import from_values, to_values, value_names
from components.detection.ground_truth import read_ground_truth
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.records import encode_example
from components.gate_options import DecideOn, FloatGates
from components.pusher.float_verdict import float_gates
from pipeline.gates import detector_eval_config
from tests.unit.detection.by_pycocotools import evaluate_by_pycocotools
from tests.unit.pusher.test_float_verdict import EvaluatorNode

NAMES = ("background", "bird", "boat")
EDGES = (features.YMIN, features.XMIN, features.YMAX, features.XMAX)
CATEGORIES = {16: 1, 9: 2, 44: 0}
IMAGES = 40
ROWS = 12


def encode_images():
    """Raw examples: every fourth image has no object at all, and some have one without a label or a crowd."""
    generator = np.random.default_rng(5)
    for number in range(IMAGES):
        width, height = (int(side) for side in generator.integers(100, 600, 2))
        annotations = []
        for _ in range(0 if number % 4 == 0 else int(generator.integers(1, 6))):
            w, h = generator.uniform(0.05, 0.4, 2) * (width, height)
            x, y = generator.uniform(0, 1, 2) * (width - w, height - h)
            category = int(generator.choice(list(CATEGORIES)))
            annotations.append(Annotation(category, float(w * h * 0.7), (x, y, w, h), bool(generator.random() < 0.1)))
        record = ImageRecord(number, f"{number}.png", width, height, pack_annotations(annotations))
        image = CheckedImage(b"", "png", width, height, reencoded=False)
        bucket = "over_10%" if annotations else "none"
        yield b"".join(
            encode_example(record, image, label=0, label_text="x", largest_object=bucket, category_labels=CATEGORIES)
        )


class KnownDetector(tf.Module):
    """Finds every object a little displaced, calls some by another label, and fills up with rows of 0."""

    def __init__(self, displacement):
        super().__init__()
        self.displacement = displacement

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        spec = {key: tf.io.VarLenFeature(tf.float32) for key in EDGES}
        parsed = tf.io.parse_example(examples, spec | {features.OBJECT_LABEL: tf.io.VarLenFeature(tf.int64)})
        known = tf.sparse.to_dense(parsed[features.OBJECT_LABEL])[:, :ROWS]
        known = tf.pad(known, [[0, 0], [0, ROWS - tf.shape(known)[1]]])
        edges = [tf.sparse.to_dense(parsed[key])[:, :ROWS] for key in EDGES]
        boxes = tf.stack(edges, axis=2)
        boxes = tf.pad(boxes, [[0, 0], [0, ROWS - tf.shape(boxes)[1]], [0, 0]])
        areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        is_there = areas > 0
        size = tf.concat([boxes[..., 2:] - boxes[..., :2]] * 2, axis=2)
        found = tf.clip_by_value(boxes + self.displacement * size * tf.math.sin(50 * areas)[..., tf.newaxis], 0, 1)
        scores = tf.where(is_there, 0.5 + tf.math.sin(90 * areas) / 2, 0.0)
        is_known = (known > 0) & (tf.math.sin(200 * areas) < 0.8)
        labels = tf.where(is_there, tf.where(is_known, known, 1), 0)
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        return {
            features.DETECTION_BOXES: tf.gather(found, order, batch_dims=1),
            features.DETECTION_SCORES: tf.gather(scores, order, batch_dims=1),
            features.DETECTION_LABELS: tf.gather(labels, order, batch_dims=1),
        }

    def save(self, directory):
        tf.saved_model.save(self, directory, signatures={features.SERVING_SIGNATURE: self.serve})

    def find(self, examples):
        answers = self.serve(tf.constant(examples))
        for boxes, scores, labels in zip(*(answers[key].numpy() for key in answers), strict=True):
            yield Detections(boxes[labels > 0], scores[labels > 0], labels[labels > 0])


class DetectorNode(EvaluatorNode):
    def config(self, limits):
        return detector_eval_config(limits, NAMES)


CANDIDATE, BASELINE = KnownDetector(0.2), KnownDetector(0.05)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluator")


@pytest.fixture(scope="module")
def node(root):
    return DetectorNode(root, list(encode_images()), len(NAMES), candidate=CANDIDATE, baseline=BASELINE)


@pytest.fixture(scope="module")
def truths(root, node):
    found = read_ground_truth([str(root / "examples/Split-eval/data_tfrecord-00000-of-00001")])
    return [found[str(number)] for number in range(IMAGES)]


@pytest.fixture(scope="module")
def expected(truths):
    """COCOeval of candidate and baseline."""
    examples = list(encode_images())
    return [evaluate_by_pycocotools(truths, list(each.find(examples)), len(NAMES)) for each in (CANDIDATE, BASELINE)]


@pytest.fixture(scope="module")
def first(node):
    limits = FloatGates(min_ap=0.05, min_ap50=0.1, min_category_ap50={"bird": 0.05}, max_ap_drop=0.0)
    return node.run("first", limits, baseline="nothing")


@pytest.fixture(scope="module")
def second(node):
    """Beside a better baseline."""
    return node.run("second", FloatGates(min_ap=0.05, max_ap_drop=0.02), baseline="baseline")


def test_coco_metrics_under_tfma_are_pycocotools_figures(first, expected):
    quality = first.evaluation.metrics
    ours = [getattr(quality, name) for name in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")]
    ours += [quality.ar_1, quality.ar_10, quality.ar_100]
    assert 0.05 < quality.ap < 0.95
    assert [-1 if each is None else each for each in ours] == pytest.approx(expected[0].stats[:9].tolist(), abs=1e-6)
    precision = expected[0].eval["precision"][0, :, :, 0, 2].mean(axis=0)
    assert [each.ap50 for each in quality.categories.values()] == pytest.approx(precision.tolist(), abs=1e-6)
    assert quality.images == IMAGES
    assert quality.ap_interval[0] < quality.ap < quality.ap_interval[1]


def test_coco_metrics_of_a_slice_without_ground_truth_are_undefined_and_do_not_reject(first):
    assert first.blessed
    assert first.evaluation.slices["none"].ap is None
    assert first.evaluation.slices["none"].images == IMAGES // 4
    assert first.evaluation.slices["over_10%"].images == IMAGES - IMAGES // 4


def test_coco_metrics_beside_a_baseline_give_the_change_and_refuse_it(first, second, expected):
    change = expected[0].stats[0] - expected[1].stats[0]
    assert change < -0.02
    assert second.evaluation.change == pytest.approx(change, abs=1e-6)
    assert second.evaluation.metrics == first.evaluation.metrics
    assert first.evaluation.change is None
    assert not second.blessed


def test_float_gates_of_a_detector_are_points_or_bounds(second):
    limits = FloatGates(min_ap=0.05, min_ap50=0.1, min_category_ap50={"bird": 0.05}, max_ap_drop=0.02)
    metrics = second.evaluation.metrics
    points, bounds = ({gate.name: gate for gate in float_gates(second.evaluation, limits, on, ())} for on in DecideOn)
    assert list(points) == list(bounds)
    assert points["gates.float.min_ap"].value == metrics.ap == bounds["gates.float.min_ap"].measured
    assert bounds["gates.float.min_ap50"].value == metrics.ap50_interval[0]
    bird = metrics.categories["bird"]
    assert points["gates.float.min_category_ap50.bird"].value == bird.ap50
    assert bounds["gates.float.min_category_ap50.bird"].value == bird.ap50_interval[0]
    assert points["gates.float.max_ap_drop"].value == -second.evaluation.change
    assert not points["gates.float.max_ap_drop"].passed


def test_values_of_a_quality_survive_their_names(first):
    quality = first.evaluation.slices["none"]
    for each in (quality, first.evaluation.metrics):
        values = to_values(each)
        assert from_values(values) == each
        assert set(values) == set(value_names(NAMES))


def test_detector_eval_config_asks_thresholds_of_the_whole_split_only():
    config = detector_eval_config(FloatGates(min_ap50=0.5, max_ap_drop=None, min_category_ap50={"boat": 0.25}), NAMES)
    limits = config.metrics_specs[0].per_slice_thresholds
    assert set(limits) == {"ap50", "ap50/boat"}
    for limit in limits.values():
        assert [list(spec.feature_keys) for each in limit.thresholds for spec in each.slicing_specs] == [[]]
    assert [list(spec.feature_keys) for spec in config.slicing_specs] == [[], [features.LARGEST_OBJECT]]

"""A detector of two drawn traffic signs through the real nodes, and every command on what it left behind."""

import io
import json
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml

from components import features, pixels
from components.detection.coco_metrics import measure_detections
from components.detection.detections import Detections
from components.detection.fixed_point import to_q15
from components.detection.ground_truth import read_ground_truth
from components.pusher.channels import Channel
from components.pusher.judged_images import read_judged_images
from components.pusher.manifest import read_manifest
from components.pusher.outcome import OUTCOME_FILE, Outcome
from components.pusher.rebuild import rebuild_release
from components.pusher.rebuilt import RebuildRequest
from components.pusher.stores import open_store
from components.quantization.inspect import inspect_flatbuffer
from components.quantization.reference import run_reference
from components.quantization.tflm import run_under_tflm
from components.sample_data.writer import write_sample_data
from components.transformed_examples import split_files
from pipeline.commands.run import run
from pipeline.config import read_config
from pipeline.evaluation.released import find_release
from pipeline.prediction.predict import predict
from pipeline.prediction.records import NamedImage, PredictionRequest
from tests.c_detector import compile_detector
from tests.unit.detection.by_pycocotools import evaluate_by_pycocotools

SIDE = 64
LABELS = ("background", "stop", "yield")
# Enough epochs for a few right boxes; the gates ask nothing unless a test says so.
CONFIG = {
    "name": "tiny",
    "task": "detection",
    "run": {"root": "", "seed": 3},
    "data": {
        "annotations": "",
        "images": "",
        "category": list(LABELS[1:]),
        "splits": {"train": 0.7, "eval": 0.3},
    },
    "transform": {"side": SIDE, "channels": 3},
    "trainer": {
        "backbone": "mobilenet_v1",
        "alpha": 0.25,
        "optimizer": {"name": "adam"},
        "learning_rate": 0.01,
        "schedule": {"name": "cosine"},
        "batch_size": 16,
        "epochs": 8,
        "max_batch_norm_momentum": 0.9,
        "detector": {
            "feature_layers": ["block_5", "block_11"],
            "extra_filters": [],
            "anchors": {"scales": [0.2, 0.4], "aspect_ratios": [1.0], "reduces_lowest": False},
        },
    },
    "gates": {
        "on": "point",
        "float": {"min_ap50": 0.0, "max_ap_drop": 1.0},
        "int8": {"min_ap50": 0.0, "max_ap_drop": 1.0, "max_flatbuffer_bytes": 1_000_000, "max_arena_bytes": 1_000_000},
    },
    "release": {"c_name": "tiny_signs", "calibration_images": 20, "decoder": {"postprocess_op": True}},
}


class DetectorRun:
    """A run, and what it wrote."""

    def __init__(self, folder, data):
        self.data, self.root = data, folder / "run"
        self.uri = self.root / "releases"
        self.config_file = folder / "tiny.yaml"
        tree = json.loads(json.dumps(CONFIG))
        tree["run"]["root"] = str(self.root)
        tree["data"] |= {"annotations": str(data / "instances.json"), "images": str(data / "images")}
        self.config_file.write_text(yaml.safe_dump(tree, sort_keys=False))
        self.config = read_config(str(self.config_file))
        code, self.stdout = self.run()
        assert code == 0, self.stdout
        self.release = self.uri / "tiny" / open_store(str(self.uri)).channels("tiny").held(Channel.STAGING)
        self.manifest = read_manifest(self.release)
        self.outcome = self.newest_outcome()

    def run(self, *overrides):
        """`vww run`: exit code and stdout."""
        with redirect_stdout(io.StringIO()) as stdout:
            try:
                run(str(self.config_file), list(overrides))
            except typer.Exit as end:
                return end.exit_code, stdout.getvalue()
        return 0, stdout.getvalue()

    def output(self, node, key):
        """The newest artifact of a node."""
        return max((self.root / "artifacts" / node / key).iterdir(), key=lambda folder: int(folder.name))

    def newest_outcome(self):
        return Outcome.from_json((self.output("MicroPusher", "pushed_model") / OUTCOME_FILE).read_text())


@pytest.fixture(scope="module")
def detected(warm_workers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detected")
    write_sample_data(folder / "set", images=60, seed=1, which="signs", workers=2)
    with warm_workers():
        yield DetectorRun(folder, folder / "set")


@pytest.fixture(scope="module")
def micro(detected):
    """The file that ships."""
    return (detected.release / "tiny_signs_micro.tflite").read_bytes()


@pytest.fixture(scope="module")
def judged(detected):
    """The rasters of the eval split, and what is in its images, in the same order."""
    files, example_files = (
        split_files(str(detected.output(node, key)), features.EVAL)
        for node, key in (("Transform", "transformed_examples"), ("CocoExampleGen", "examples"))
    )
    images = read_judged_images(files, example_files, (SIDE, SIDE, 3))
    truths = read_ground_truth(example_files)
    return images, [truths[source_id] for source_id in images.source_ids]


@pytest.fixture(scope="module")
def codes(micro, judged):
    """What the file that ships answers to the eval split under TFLite Micro."""
    answered = run_under_tflm(micro, judged[0].codes, time_limit_s=60)
    assert answered.failure is None
    return answered.outputs


@pytest.fixture(scope="module")
def found_in_c(detected, codes, require_tool, tmp_path_factory):
    """The detections of every eval image by the release's own C."""
    require_tool("gcc", "gcc")
    options = detected.config.release.decoder
    detector = compile_detector(detected.release, "tiny_signs", codes, tmp_path_factory.mktemp("c"))
    return detector.decode_all(codes, to_q15(options.min_score), options.max_detections)


# What is said of it.


def test_run_of_a_detector_prints_its_figures_and_gates(detected):
    shown = [line.split() for line in detected.stdout.splitlines()]
    assert f"Released: {detected.release}" in detected.stdout
    for gate in detected.manifest.gates:
        assert re.search(rf"^{gate.name} .* passed *$", detected.stdout, re.MULTILINE)
    quality = detected.manifest.figures.int8_metrics["eval"]
    (row,) = (line for line in shown if " ".join(line).startswith("int8, as decoded in C "))
    assert row[5:8] == [str(quality.images), str(quality.boxes), f"{quality.ap:.4f}"]
    for name, category in quality.categories.items():
        assert [name, str(category.boxes), f"{category.ap:.4f}", f"{category.ap50:.4f}"] in [line[:4] for line in shown]
    assert f"Operating point: a score of {detected.manifest.figures.operating_point.threshold:.4f}" in detected.stdout


def test_outcome_of_a_detector_holds_what_the_evaluator_and_the_micropusher_measured(detected):
    outcome, figures = detected.outcome, detected.manifest.figures
    assert outcome.evaluation.task == outcome.figures.task == "detection"
    assert outcome.figures == figures
    assert outcome.evaluation.metrics.ap50 == pytest.approx(figures.float_metrics["eval"].ap50, abs=1e-6)
    assert outcome.evaluation.metrics.boxes == figures.float_metrics["eval"].boxes
    gates = {gate.name: gate.value for gate in outcome.verdict.gates}
    assert gates["gates.float.min_ap50"] == outcome.evaluation.metrics.ap50
    assert gates["gates.int8.min_ap50"] == figures.int8_metrics["eval"].ap50
    assert gates["gates.int8.max_ap_drop"] == figures.quantization_loss.drop


def test_manifest_of_a_detector_describes_its_labels_and_outputs(detected, micro):
    manifest = detected.manifest
    assert (manifest.labels, manifest.positive) == (LABELS, None)
    assert (detected.release / "labels.txt").read_text().splitlines() == list(LABELS)
    anchors = 2 * (8**2 + 4**2)
    assert [output.shape for output in manifest.outputs] == [(1, anchors, 4), (1, anchors, 2)]
    assert manifest.outputs == inspect_flatbuffer(micro).outputs
    assert manifest.footprint.flatbuffer_bytes == len(micro)
    assert manifest.parity.max_difference_lsb <= 1


# What its boxes are worth.


def test_truths_of_the_eval_split_are_the_boxes_of_the_annotations(detected, judged):
    document = json.loads((detected.data / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    sizes = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
    images, truths = judged
    for source_id, truth in zip(images.source_ids, truths, strict=True):
        width, height = sizes[int(source_id)]
        assert (truth.width, truth.height) == (width, height)
        boxes = {
            (LABELS.index(names[row["category_id"]]), *row["bbox"])
            for row in document["annotations"]
            if row["image_id"] == int(source_id) and names[row["category_id"]] in LABELS
        }
        read = zip(truth.labels.tolist(), truth.boxes_yxyx.astype(float).tolist(), strict=True)
        in_pixels = [
            (label, left * width, top * height, (right - left) * width, (bottom - top) * height)
            for label, (top, left, bottom, right) in read
        ]
        assert sorted(in_pixels) == [pytest.approx(box, abs=1e-3) for box in sorted(boxes)]


def test_ap_that_is_gated_is_that_of_the_compiled_c(detected, judged, found_in_c):
    measured = detected.manifest.figures.int8_metrics["eval"]
    assert measured.ap > 0
    assert measure_detections(judged[1], found_in_c, LABELS) == measured  # bit for bit, every figure and interval
    evaluation = evaluate_by_pycocotools(judged[1], found_in_c, len(LABELS))
    assert evaluation.stats[0] == pytest.approx(measured.ap, abs=1e-12)
    assert evaluation.stats[1] == pytest.approx(measured.ap50, abs=1e-12)
    assert evaluation.stats[8] == pytest.approx(measured.ar_100, abs=1e-12)


def test_operating_point_counts_what_the_compiled_c_reports_at_its_score(detected, found_in_c):
    point = detected.manifest.figures.operating_point
    counts = point.rates["eval"].counts
    reported = sum(int((found.scores >= np.float32(point.threshold)).sum()) for found in found_in_c)
    assert reported == counts.right + counts.false > 0


def test_postprocess_file_finds_under_litert_what_the_c_code_finds(detected, judged, found_in_c):
    flatbuffer = (detected.release / "tiny_signs_postprocess.tflite").read_bytes()
    outputs = run_reference(flatbuffer, pixels.quantize(judged[0].rasters))
    limit = detected.config.release.decoder.max_detections
    assert [output.shape[1:] for output in outputs] == [(limit, 4), (limit,), (limit,), ()]
    found = []
    for boxes, classes, scores, count in zip(*outputs, strict=True):
        kept = slice(int(count))
        found.append(Detections(boxes[kept], scores[kept], classes[kept].astype(np.int64) + 1))
    for one, other in zip(found, found_in_c, strict=True):
        assert one.scores.max() == pytest.approx(other.scores.max(), abs=2e-3)


def test_bundle_of_a_detector_is_what_its_readme_lists(detected):
    names = {path.name for path in detected.release.iterdir()}
    bundle = ("model_data.cc", "model_data.h", "arena.h", "op_resolver.h", "preprocess.h", "detect.c", "detect.h")
    assert names >= {f"tiny_signs_{name}" for name in (*bundle, "golden.cc", "golden.h", "self_test.cc")}
    assert names >= {"golden_inputs.npy", "golden_outputs_0.npy", "golden_outputs_1.npy", "model_settings.h"}


# The commands on it.


def test_predict_gives_the_detections_of_the_compiled_c_and_names_a_bad_image(
    detected, vww, judged, found_in_c, tmp_path
):
    source_ids = judged[0].source_ids[:3]
    for source_id in source_ids:
        shutil.copy(detected.data / "images" / f"{int(source_id):012d}.jpg", tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    code, stdout, stderr = vww("predict", "tiny", tmp_path, "--uri", detected.uri, "--min-score", 0.02)
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert code == 1
    assert "1 of 4 images" in stderr
    assert "bad.jpg" in stderr
    assert len(lines) == len(source_ids)
    by_file = {Path(line["file"]).name: line["detections"] for line in lines}
    for source_id, expected in zip(source_ids, found_in_c, strict=False):
        shown = by_file[f"{int(source_id):012d}.jpg"]
        assert [each["score"] for each in shown] == pytest.approx(expected.scores.tolist(), abs=1e-6)
        assert [each["label"] for each in shown] == [LABELS[label] for label in expected.labels]
        np.testing.assert_allclose([each["box_yxyx"] for each in shown], expected.boxes_yxyx, atol=1e-6)
    assert any(by_file.values())


def test_predict_float_model_of_a_detector_reports_from_its_operating_point_on(detected, judged):
    paths = (detected.data / "images" / f"{int(source_id):012d}.jpg" for source_id in judged[0].source_ids)
    request = PredictionRequest(
        release=find_release("tiny/staging", str(detected.uri)),
        flatbuffer=None,
        weights="float",
        runtime="tflm",
        images=tuple(NamedImage(path=str(path), drawing=None) for path in paths),
        min_score=None,
        input_range="-1..1",
    )
    scores = [each.score for prediction in predict(request).predictions for each in prediction.detections]
    assert scores
    assert min(scores) >= detected.manifest.figures.operating_point.threshold - 1e-6  # of six decimals


def test_releases_of_a_detector_are_listed_shown_compared_and_verified(detected, vww):
    version = detected.manifest.version
    code, stdout, _ = vww("releases", "list", "--uri", detected.uri)
    assert (code, version in stdout) == (0, True)
    code, stdout, _ = vww("releases", "show", "tiny", "--uri", detected.uri)
    assert code == 0
    assert f"{detected.manifest.figures.int8_metrics['eval'].ap:.4f}" in stdout
    code, stdout, _ = vww("releases", "diff", "tiny", version, "staging", "--uri", detected.uri)
    assert code == 0
    code, stdout, stderr = vww("releases", "verify", "tiny", "--uri", detected.uri)
    assert code == 0, stdout + stderr


def test_release_of_a_detector_is_rebuilt_to_the_byte(detected):
    rebuilt = rebuild_release(RebuildRequest(folder=str(detected.release)))
    assert [file.differences for file in rebuilt.files] == [(), (), ()]


def test_report_of_a_detector_shows_pictures_and_curves(detected):
    html = (detected.root / "report.html").read_text()
    assert "data:image/" in html
    assert html.count("<svg") >= len(LABELS[1:])
    assert all(name in html for name in LABELS[1:])


def test_evaluate_says_who_measures_a_detector(detected, vww):
    code, stdout, stderr = vww("evaluate", "tiny", detected.config_file)
    assert (code, stdout) == (2, "")
    assert "vww evaluate measures classifiers; the config has task=detection" in stderr
    assert "vww report" in stderr


def test_run_of_a_detector_below_its_gate_is_refused_and_releases_nothing(detected):
    code, stdout = detected.run("gates.int8.min_ap50=0.99")
    assert code == 3
    assert re.search(r"^gates\.int8\.min_ap50 +>= 0\.99 .* REFUSED$", stdout, re.MULTILINE)
    assert "Released" not in stdout
    assert open_store(str(detected.uri)).channels("tiny").held(Channel.STAGING) == detected.manifest.version
    assert detected.newest_outcome().publication is None

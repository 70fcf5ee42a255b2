import pytest

from components.detection.coco_metrics import measure_detections, measure_drop
from components.detection.operating_point import measure_rates
from components.detection.records import DetectionLoss, DetectorOperatingPoint
from components.drift import Distance, FeatureDrift
from components.pusher.figures import DetectorFigures
from components.pusher.manifest import CodeRecord, parse_manifest
from components.pusher.provenance.model_card import render_model_card
from tests.unit.detection.drawn_detections import NAMES, draw_images


def test_model_card_reads_as_it_did(golden, manifest):
    golden("model_card.md", render_model_card(manifest))


def test_model_card_of_equal_manifests_is_the_same(manifest):
    assert render_model_card(parse_manifest(manifest.to_json(), "manifest.json")) == render_model_card(manifest)


def test_model_card_of_no_positive_label_speaks_of_all(manifest):
    images = {"train": {"cat": 3, "dog|": 4, "none": 5}}
    quality = manifest.figures.int8_metrics["eval"]
    of_labels = dict.fromkeys(("none", "cat", "dog|"), quality.labels["person"])
    card = render_model_card(
        manifest.model_copy(
            update={
                "labels": ("none", "cat", "dog|"),
                "positive": None,
                "figures": manifest.figures.model_copy(
                    update={
                        "operating_point": None,
                        "int8_metrics": {"eval": quality.model_copy(update={"labels": of_labels})},
                    }
                ),
                "dataset": manifest.dataset.model_copy(update={"images": images, "licenses": ()}),
            }
        )
    )
    assert "(none, cat, dog\\|)" in card
    assert "| train | 12 | 5 | 3 | 4 |" in card
    assert "To tell which of the labels" in card
    assert "| dog\\| | 0.930 (" in card
    assert "Operating point" not in card
    assert "Licences: not stated" in card


def test_model_card_text_of_users_stays_in_its_place(manifest):
    name = "a | b\n# Heading\n<script>"
    card = render_model_card(
        manifest.model_copy(
            update={"positive": name, "dataset": manifest.dataset.model_copy(update={"licenses": (name,)})}
        )
    )
    assert "\n# Heading" not in card
    assert "<script>" not in card.replace("\\<script\\>", "")


@pytest.mark.parametrize(
    ("commit", "dirty", "words"),
    [(None, None, "was no checkout"), ("0123456789abcdef" * 2, True, "uncommitted changes over commit `0123456789ab`")],
)
def test_model_card_code_that_nobody_can_check_out_is_a_limit(manifest, commit, dirty, words):
    code = CodeRecord(version="0.1.0", commit=commit, dirty=dirty, repository=None, lock_sha256=None)
    assert words in render_model_card(manifest.model_copy(update={"code": code}))


def test_model_card_says_how_far_the_data_has_moved(manifest):
    drift = (FeatureDrift(feature="brightness", distance=Distance.JENSEN_SHANNON, value=0.125, limit=None),)
    card = render_model_card(manifest.model_copy(update={"drift": drift, "baseline": "0123456789ab"}))
    assert "Moved from the training data of release 0123456789ab: brightness 0.125 (" in card


def test_model_card_signed_release_says_by_which_key(manifest):
    card = render_model_card(manifest.model_copy(update={"signing_key_id": "abcdef012345" + "0" * 52}))
    assert "its signature by the key `abcdef012345`" in card
    assert "--key PUBLIC_KEY" in card


def test_model_card_operating_point_says_what_it_was_chosen_for(manifest):
    point = manifest.figures.operating_point.model_copy(update={"max_false_alarm_rate": 0.05})
    figures = manifest.figures.model_copy(update={"operating_point": point})
    card = render_model_card(manifest.model_copy(update={"figures": figures}))
    assert (
        "Report person from a score of 0.504 on (int8 code 1), chosen on eval for at most 0.050 false alarms." in card
    )
    assert "| eval | 0.080 (0.041 to 0.150) | 0.930 (0.863 to 0.966) |" in card


def test_model_card_gate_on_a_bound_shows_what_was_measured(manifest):
    gate = manifest.gates[0].model_copy(update={"value": 0.91, "measured": 0.925})
    card = render_model_card(manifest.model_copy(update={"gates": (gate,)}))
    assert "| 0.91, the bound of 0.925 | passed |" in card


def test_model_card_of_a_detector_has_cocos_figures_and_its_operating_point(manifest):
    truths, found = draw_images()
    quality = measure_detections(truths, found, NAMES)
    point = DetectorOperatingPoint(
        max_false_detections=None, threshold=0.5, codes=(3,), rates={"eval": measure_rates(truths, found, NAMES, 0.5)}
    )
    figures = DetectorFigures(
        float_metrics={"eval": quality},
        int8_metrics={"eval": quality},
        quantization_loss=measure_drop(truths, found, found, NAMES),
        operating_point=point,
    )
    card = render_model_card(manifest.model_copy(update={"figures": figures, "labels": NAMES, "positive": None}))
    low, high = quality.ap_interval
    assert f"| int8, eval | {quality.images} | {quality.boxes} | {quality.ap:.3f} ({low:.3f} to {high:.3f}) |" in card
    assert "boxes and a score for each label out (bird, boat, bus)" in card
    assert "AP fell by 0.000 (0.000 to 0.000) on eval" in card
    rose = DetectionLoss(drop=-0.004, drop50=0.0, drop_interval=(-0.01, 0.002), drop50_interval=None)
    better = manifest.model_copy(update={"figures": figures.model_copy(update={"quantization_loss": rose})})
    assert "AP rose by 0.004 (-0.002 to 0.010) on eval" in render_model_card(better)
    counts = point.rates["eval"].labels["boat"]
    assert f"| eval, boat | {counts.right} | {counts.false} | {counts.missed} | {counts.precision:.3f} |" in card
    assert "Report a detection from a score of 0.500 on (int8 code 3), chosen on eval for the best F1" in card

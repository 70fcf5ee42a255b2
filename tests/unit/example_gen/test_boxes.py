import math

import numpy as np
import pytest

from components.dataset import BoxCounts
from components.errors import DataError
from components.example_gen.box_counts import check_boxes, count_boxes
from components.example_gen.boxes import BoxTable, is_within, judge_box
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.options import BoxOptions
from components.example_gen.quarantine import BadRecord, QuarantineReason

CLIP, STRICT = BoxOptions(), BoxOptions(outside="quarantine")
IMAGE = ImageRecord(7, "7.jpg", 200, 100)


@pytest.mark.parametrize("options", [CLIP, STRICT])
@pytest.mark.parametrize("values", [[0, 0, 200, 100], [40, 10, 100, 30], [199.5, 99.5, 0.5, 0.5], [0, 0, 0.001, 100]])
def test_judge_box_within_the_image_stays_as_it_is(options, values):
    assert judge_box(values, IMAGE, options) == (tuple(values), False)
    assert is_within(*values, IMAGE)


@pytest.mark.parametrize(
    ("values", "clipped"),
    [
        ([-20, -10, 60, 20], (0, 0, 40, 10)),
        ([160, 90, 400, 400], (160, 90, 40, 10)),
        ([-1e9, -1e9, 2e9, 2e9], (0, 0, 200, 100)),
    ],
)
def test_judge_box_beyond_the_image_is_clipped_or_quarantined_as_declared(values, clipped):
    assert not is_within(*values, IMAGE)
    box, is_clipped = judge_box(values, IMAGE, CLIP)
    assert box == pytest.approx(clipped)
    assert is_clipped
    with pytest.raises(BadRecord) as caught:
        judge_box(values, IMAGE, STRICT)
    assert caught.value.reason is QuarantineReason.BOX_OUTSIDE
    assert "image 7 of 200x100" in caught.value.detail


def test_judge_box_beyond_the_edge_by_a_pixel_is_clipped_in_any_case_and_not_counted():
    assert judge_box([100, 50, 101, 51], IMAGE, STRICT) == ((100, 50, 100, 50), False)
    with pytest.raises(BadRecord):
        judge_box([100, 50, 101.5, 20], IMAGE, STRICT)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (None, QuarantineReason.MISSING_BOX),
        ([], QuarantineReason.MISSING_BOX),
        ([1, 2, 3], QuarantineReason.MISSING_BOX),
        ([1, 2, 3, "4"], QuarantineReason.MISSING_BOX),
        ([1, 2, 3, None], QuarantineReason.MISSING_BOX),
        ([1, 2, True, 4], QuarantineReason.MISSING_BOX),
        ({"x": 1}, QuarantineReason.MISSING_BOX),
        ([math.nan, 2, 3, 4], QuarantineReason.BOX_NOT_FINITE),
        ([1, 2, math.inf, 4], QuarantineReason.BOX_NOT_FINITE),
        ([-math.inf, 2, math.inf, 4], QuarantineReason.BOX_NOT_FINITE),
        ([1, 2, 3, 10**400], QuarantineReason.BOX_NOT_FINITE),
        ([5, 5, 0, 10], QuarantineReason.EMPTY_BOX),
        ([5, 5, 10, 0.0], QuarantineReason.EMPTY_BOX),
        ([50, 50, -10, -10], QuarantineReason.EMPTY_BOX),
        ([5, 5, 1e-20, 10], QuarantineReason.EMPTY_BOX),
        ([200 - 1e-9, 5, 1, 10], QuarantineReason.EMPTY_BOX),
        ([200, 0, 10, 10], QuarantineReason.BOX_OUTSIDE),
        ([0, 100, 10, 10], QuarantineReason.BOX_OUTSIDE),
        ([-10, 0, 10, 10], QuarantineReason.BOX_OUTSIDE),
        ([0, -1e300, 10, 10], QuarantineReason.BOX_OUTSIDE),
    ],
)
@pytest.mark.parametrize("options", [CLIP, STRICT])
def test_judge_box_that_nothing_can_be_learned_of_has_a_reason_of_its_own(options, values, reason):
    with pytest.raises(BadRecord) as caught:
        judge_box(values, IMAGE, options)
    assert caught.value.reason is reason
    assert caught.value.detail.startswith("bbox=")


def record(*boxes, size=(200, 100), image_id=1):
    """Boxes as (category_id, is_crowd, xywh)."""
    annotations = [Annotation(category, 9.0, xywh, is_crowd) for category, is_crowd, xywh in boxes]
    return ImageRecord(image_id, "a.jpg", *size, pack_annotations(annotations))


def test_box_table_holds_labelled_boxes_by_image_in_0_to_1():
    records = [
        record((1, False, (40.0, 10.0, 100.0, 30.0)), (44, False, (0.0, 0.0, 1.0, 1.0))),
        record(),
        record((18, True, (0.0, 0.0, 50.0, 50.0)), size=(50, 50)),
    ]
    table = BoxTable.of(records, {1: 1, 18: 2})
    assert table.images.tolist() == [0, 2]
    assert table.labels.tolist() == [1, 2]
    assert table.crowds.tolist() == [False, True]
    np.testing.assert_allclose(table.boxes_yxyx, [[0.1, 0.2, 0.4, 0.7], [0, 0, 1, 1]])
    assert not table.clipped.any()


def test_box_table_tells_boxes_of_no_more_than_a_pixel_in_images_of_more():
    unit = (1, False, (0.0, 0.25, 1.0, 0.75))
    images = [record(unit, (1, False, (0.0, 0.0, 0.5, 1.5))), record(unit, size=(1, 1))]
    assert BoxTable.of(images, {1: 1}).in_a_pixel.tolist() == [False, True, False]


def test_box_table_of_no_images_is_empty():
    assert BoxTable.of([], {1: 1}).boxes_yxyx.shape == (0, 4)
    assert BoxTable.of([record()], {1: 1}).boxes_yxyx.shape == (0, 4)


def test_count_boxes_counts_by_label_and_by_image():
    person, dog, crowd = ((c, is_crowd, (1.0, 1.0, 5.0, 5.0)) for c, is_crowd in ((1, False), (18, False), (1, True)))
    counts = count_boxes(
        {"train": [record(person, person, dog), record(), record(crowd), record()], "eval": [record(*[dog] * 500)]},
        {1: 1, 18: 2},
        ("background", "person", "dog"),
    )
    assert counts.labels == {"train": {"person": 2, "dog": 1}, "eval": {"person": 0, "dog": 500}}
    assert counts.crowds == {"train": 1, "eval": 0}
    assert counts.per_image == {"train": ((0, 2), (1, 1), (3, 1)), "eval": ((500, 1),)}
    assert counts.beyond("train", 2) == (1, 1)
    assert counts.beyond("train", 3) == (0, 0)
    assert counts.beyond("eval", 64) == (1, 436)
    assert BoxCounts.from_json(counts.to_json()) == counts


@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_check_boxes_split_without_a_category_is_refused(split):
    labels = {name: {"person": 5, "dog": 3} for name in ("train", "eval", "test")}
    counts = BoxCounts(labels=labels, crowds=dict.fromkeys(labels, 0), per_image={}, clipped={})
    check_boxes(counts)
    labels[split]["dog"] = 0
    counts = BoxCounts(labels=labels, crowds={**dict.fromkeys(labels, 0), split: 1200}, per_image={}, clipped={})
    with pytest.raises(DataError, match=f"the {split} split has no box of 'dog'; it has person 5, and 1,200 crowds"):
        check_boxes(counts)

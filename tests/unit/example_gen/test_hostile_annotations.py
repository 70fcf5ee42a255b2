"""Annotations files with anything anywhere: they are read alike in any order of lists, or refused as a DataError."""

import itertools
import json
import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.example_gen import coco, coco_entries, json_stream, plan, quarantine
from components.example_gen.options import ExampleGenOptions

QUIET = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
ORDERS = list(itertools.permutations(["images", "annotations", "categories"]))

# What stands in real exports where a number, a name or a list should.
ODD = st.sampled_from(
    [
        *(None, True, False, 0, 1, 2, -1, 0.0, 1.0, 1.5, -0.5, "", "0", "1", "person", "1.jpg", [], {}, [1], {"id": 1}),
        *(math.nan, math.inf, -math.inf, 1e300, 5e-324, 10**25, -(10**25), 2**63 - 1, 2**63, -(2**63), 10**400),
        *(
            "\ud800",
            "a\0b",
            "\n",
            "x" * 300,
            "../1.jpg",
            "images\\1.jpg",
            "1%20.jpg",
            [1, 2, 3, 4],
            "1234",
            "é",
            "e\u0301",
        ),
    ]
)
BOXES = st.lists(st.sampled_from([-5, 0, 1, 2.5, 9, 10, 11, 100, math.nan, math.inf, None, "1", 10**400]), max_size=5)
GONE = object()


def changed(entry, changes):
    return {key: value for key, value in {**entry, **changes}.items() if value is not GONE}


def image(n):
    return {"id": n, "file_name": f"{n}.jpg", "width": 10, "height": 10}


def annotation(n):
    return {"id": n, "image_id": n, "category_id": n % 2, "area": 1 + 5 * n, "bbox": [1, 1, 3, 1 + n], "iscrowd": 0}


def category(n):
    return {"id": n, "name": ("person", "dog", "cat")[n]}


def mostly_good(make, numbers, rate):
    """Entries of these numbers; one in some has odd fields, or none, or is no object."""
    keys = [*make(0), "segmentation"]
    changes = st.dictionaries(st.sampled_from(keys), ODD | BOXES | st.just(GONE), min_size=1, max_size=2)

    @st.composite
    def entry(draw, n):
        if draw(st.integers(1, rate)) > 1:
            return make(n)
        return draw(changes.map(lambda fields: changed(make(n), fields)) | ODD)

    return numbers.flatmap(lambda drawn: st.tuples(*map(entry, drawn)).map(list))


DOCUMENTS = st.fixed_dictionaries(
    {
        "images": st.permutations(range(4)).flatmap(lambda order: mostly_good(image, st.just(order), rate=12)),
        "annotations": mostly_good(annotation, st.lists(st.sampled_from([0, 1, 2, 3, 0, 2, 4]), max_size=8), rate=3),
        "categories": mostly_good(category, st.permutations(range(2)) | st.just([0]), rate=30),
    }
)


@pytest.fixture
def folder(tmp_path):
    for n in range(4):
        (tmp_path / f"{n}.jpg").write_bytes(b"%d" % n)
    return tmp_path


def read(folder, document, order):
    path = folder / "instances.json"
    path.write_text(json.dumps({key: document[key] for key in order}))
    try:
        return coco.read_annotations(str(path))
    except DataError as error:
        str(error).encode()
        return None


@QUIET
@given(DOCUMENTS, st.sampled_from(ORDERS))
@example(
    {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 10, "height": 10}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "area": 1, "bbox": [1, 1, 10**400, 1], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": -(2**63), "area": 1, "bbox": [1, 1, 1, 1], "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "person"}],
    },
    ORDERS[-1],
)
def test_read_annotations_any_document_is_read_alike_in_every_order_or_refused(folder, document, order):
    first, other = (read(folder, document, order) for order in (ORDERS[0], order))
    if first is None or other is None:
        assert first is other
        return
    assert other.images == first.images
    # Of an annotation with two faults, the order decides which one is named.
    assert sorted((q.kind, q.id) for q in other.quarantined) == sorted((q.kind, q.id) for q in first.quarantined)
    assert (other.image_count, other.annotation_count) == (len(document["images"]), len(document["annotations"]))
    for image in first.images:
        for annotation in image.annotations:
            assert 0 <= annotation.area <= coco_entries.MAX_AREA
            assert annotation.category_id in first.categories
            if annotation.bbox_xywh_px is not None:
                assert all(map(math.isfinite, annotation.bbox_xywh_px))
                assert min(annotation.bbox_xywh_px[2:]) > 0


@QUIET
@given(DOCUMENTS, st.integers(1, 64))
def test_read_annotations_does_not_depend_on_the_size_of_chunks(folder, monkeypatch, document, chunk_bytes):
    whole = read(folder, document, ORDERS[0])
    with monkeypatch.context() as patch:
        patch.setattr(json_stream, "CHUNK_BYTES", chunk_bytes)
        assert read(folder, document, ORDERS[0]) == whole


@QUIET
@given(DOCUMENTS, st.sampled_from(["slim", "mlperf", "kenning"]), st.sampled_from([0.2, 1.0]))
def test_plan_dataset_any_document_is_planned_or_refused(folder, document, rule, limit):
    path = folder / "instances.json"
    path.write_text(json.dumps(document))
    (folder / "eval.txt").write_text("0\n1\n")
    options = ExampleGenOptions(
        annotations=str(path),
        images=str(folder),
        label_rule=rule,
        split_ids={"eval": str(folder / "eval.txt")},
        max_quarantined_fraction=limit,
    )
    try:
        result = plan.plan_dataset(options)
    except DataError as error:
        str(error).encode()
        return
    quarantine.render_quarantine(result.quarantined, result.dropped).encode()
    bad = {entry.id for entry in result.quarantined if entry.kind == "image"}
    assert len(result.records) + len(result.dropped) + len(bad) <= result.image_count
    assert all(min(by_label) > 0 for by_label in result.counts.values())

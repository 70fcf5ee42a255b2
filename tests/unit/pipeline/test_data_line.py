import json

import pytest

from components.example_gen.options import BoxOptions, ExampleGenOptions
from components.example_gen.plan import plan_dataset
from pipeline.data_line import describe_plan


@pytest.fixture
def plan(tmp_path):
    """Of four images, two of which train: one with three persons and a crowd, one with a dog and a person."""

    def make(boxes, size=(5, 5)):
        objects = {1: [1, 1, 1], 2: [18, 1], 3: [1, 18], 4: []}
        annotations = [
            {"image_id": image, "category_id": category, "area": 9, "bbox": [n, 1, *size], "iscrowd": 0}
            for image, categories in objects.items()
            for n, category in enumerate(categories)
        ]
        annotations.append({**annotations[0], "iscrowd": 1})
        document = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 90, "height": 90} for n in objects],
            "annotations": [{"id": n, **each} for n, each in enumerate(annotations)],
            "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        }
        for n in objects:
            (tmp_path / f"{n}.png").write_bytes(b"%d" % n)
        (tmp_path / "a.json").write_text(json.dumps(document))
        (tmp_path / "eval.txt").write_text("3\n4\n")
        return plan_dataset(
            ExampleGenOptions(
                annotations=str(tmp_path / "a.json"),
                images=str(tmp_path),
                category=("person", "dog"),
                boxes=boxes,
                split_ids={"eval": str(tmp_path / "eval.txt")},
            )
        )

    return make


def test_describe_plan_of_a_detector_counts_boxes_crowds_and_what_is_taught_as_background(plan):
    planned = plan(BoxOptions())
    line = "train 2 (boxes: 4 person, 1 dog); eval 2 (boxes: 1 person, 1 dog); 1 crowds"
    assert describe_plan(planned, 4) == line
    assert describe_plan(planned, 1) == (
        f"{line}; 2 train images have more than 1 boxes, of which the 4 smallest are taught as background; raise"
        " transform.max_boxes"
    )


def test_describe_plan_says_how_many_boxes_are_clipped_and_what_most_may_be(plan):
    wide = plan(BoxOptions(), (95, 5))
    assert describe_plan(wide, 4).endswith(
        "; 8 of 8 boxes reach beyond their image and are clipped: they may be corners [x1, y1, x2, y2], where COCO has"
        " [x, y, width, height]"
    )
    narrower = plan(BoxOptions(), (90, 5))  # one starts at the third pixel, others at the first or second
    assert describe_plan(narrower, 4).endswith("; 1 of 8 boxes reach beyond their image and are clipped")

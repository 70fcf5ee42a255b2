"""What is gathered: held against the plan, and against what was planted."""

import dataclasses
import json
import shutil

import pytest
from PIL import ExifTags, Image

from components.example_gen.labeling import LABEL_RULES
from components.example_gen.plan import plan_dataset
from pipeline.report import data_report
from pipeline.report.findings import CheckVerdict, Cue, Kind


def check_of(report, name):
    return next(check for check in report.checks if check.name == name)


def warnings_of(report):
    return {check.name for check in report.warnings}


def total(histogram):
    return sum(sum(series.counts) for series in histogram.series)


# A drawn set.


def test_report_counts_are_those_of_the_plan(sample_report, sample_config):
    plan = plan_dataset(sample_config.data)
    assert {split: tuple(counts.values()) for split, counts in sample_report.counts.items()} == plan.counts
    assert sample_report.labels == plan.label_names == ("not-person", "person")
    assert sample_report.source.fingerprint == plan.fingerprint
    assert sample_report.coverage == dataclasses.replace(
        sample_report.coverage, listed=60, planned=60, asked=60, looked_at=60
    )


def test_report_says_all_that_a_run_would_refuse_in_the_runs_words(sample_set, config_of, report_of):
    data = {"annotations": str(sample_set / "instances.json"), "images": str(sample_set / "images")}
    assert report_of(config_of("gates.on=point", **data)).refusals == ()
    report = report_of(config_of("gates.on=point", "trainer.batch_size=61", "release.golden_images=60", **data))
    assert check_of(report, "run_refusals").shown == "2"
    advice = check_of(report, "run_refusals").advice
    assert "ConfigError: release.golden_images=60 cannot be chosen from " in advice
    assert "ConfigError: trainer.batch_size=61 is more than the " in advice


def test_report_histograms_hold_every_image_once(sample_report):
    objects = sample_report.objects
    assert total(objects.histogram) + sum(objects.without_object.values()) == 60
    assert [found.cue for found in sample_report.cues] == list(Cue)
    for found in sample_report.cues:
        assert total(found.histogram) == found.overall.images == 60
        for series in found.histogram.series:
            assert sum(series.counts) == found.by_label[series.label].images


def test_report_object_sizes_lie_on_the_side_of_the_threshold_that_the_label_says(sample_report):
    histogram = sample_report.objects.histogram
    border = histogram.edges.index(sample_report.rule.min_area_fraction)
    below, above = {}, {}
    for series in histogram.series:
        below[series.label], above[series.label] = sum(series.counts[:border]), sum(series.counts[border:])
    assert above["not-person"] == below["person"] == 0
    assert above["person"] > 0


@pytest.mark.parametrize("rule", ["slim", "mlperf", "kenning"])
def test_report_rule_counts_are_those_of_a_plan_under_that_rule(sample_set, config_of, report_of, rule):
    data = {"annotations": str(sample_set / "instances.json"), "images": str(sample_set / "images")}
    report = report_of(config_of(**data))
    plan = plan_dataset(config_of(label_rule=rule, **data).data)
    found = next(counts for counts in report.sensitivity.rules if counts.name == rule)
    by_label = [sum(counts[label] for counts in plan.counts.values()) for label in range(2)]
    assert list(found.counts.values()) == by_label
    assert found.dropped == len(plan.dropped)
    assert sum(by_label) + found.dropped == report.sensitivity.images == 60


def test_report_rules_are_all_presets_and_multiples_of_the_one_that_is_set(sample_report):
    names = [rule.name for rule in sample_report.sensitivity.rules]
    assert names == [*LABEL_RULES, "slim x 0.5", "slim x 1", "slim x 2"]
    by_name = {rule.name: rule for rule in sample_report.sensitivity.rules}
    assert by_name["slim"].changed == by_name["slim x 1"].changed == 0
    assert by_name["slim x 0.5"].counts["person"] >= by_name["slim"].counts["person"]


def test_report_rule_that_drops_images_shows_their_objects_too(sample_set, config_of, report_of):
    data = {"annotations": str(sample_set / "instances.json"), "images": str(sample_set / "images")}
    report = report_of(config_of(label_rule="mlperf", **data))
    dropped = next(rule.dropped for rule in report.sensitivity.rules if rule.name == "mlperf")
    assert dropped > 0
    by_label = {series.label: sum(series.counts) for series in report.objects.histogram.series}
    assert by_label[report.objects.dropped_label] == dropped
    assert [(group.kind, group.reason, group.count) for group in report.left_out] == [
        (Kind.DROPPED, "small_objects_only", dropped)
    ]


def test_report_several_categories_label_as_the_plan_does(sample_set, config_of, report_of):
    data = {"annotations": str(sample_set / "instances.json"), "images": str(sample_set / "images")}
    config = config_of(category=["person", "bottle"], splits={"train": 0.5, "eval": 0.5}, **data)
    report = report_of(config)
    plan = plan_dataset(config.data)
    counts = next(rule for rule in report.sensitivity.rules if rule.name == "slim").counts
    assert list(counts) == ["background", "person", "bottle"]
    assert list(counts.values()) == [sum(split[label] for split in plan.counts.values()) for label in range(3)]


def test_report_category_of_different_ids_in_two_files_is_one_label(folders, config_of, report_of, tmp_path):
    files, counted = [], 0
    for category in (1, 18):
        images, annotations = [], []
        for _ in range(6):
            counted += 1
            folders.save(f"{counted}.jpg", folders.draw(counted))
            images.append({"id": counted, "file_name": f"{counted}.jpg", "width": 160, "height": 120})
            if counted % 2:
                annotations.append(
                    {"id": counted, "image_id": counted, "category_id": category, "area": 5000, "bbox": [0, 0, 90, 90]}
                    | {"iscrowd": 0}
                )
        path = tmp_path / f"{category}.json"
        path.write_text(
            json.dumps(
                {
                    "images": images,
                    "annotations": annotations,
                    "categories": [{"id": category, "name": "person"}],
                }
            )
        )
        files.append(str(path))
    report = report_of(
        config_of(
            annotations={"train": files[0], "eval": files[1]},
            images={"train": str(folders.root), "eval": str(folders.root)},
        )
    )
    assert all(dict(rule.counts) == {"not-person": 6, "person": 6} for rule in report.sensitivity.rules)


def test_report_limit_looks_at_that_many_and_says_so(sample_config, report_of, sample_report):
    report = report_of(sample_config, limit=20)
    assert report.coverage.is_partial
    assert (report.coverage.asked, report.coverage.looked_at, report.coverage.planned) == (20, 20, 60)
    assert all(total(found.histogram) == 20 for found in report.cues)
    assert report.counts == sample_report.counts
    assert report.objects == sample_report.objects


def test_report_smaller_limit_looks_at_some_of_the_same_images(sample_config, report_of):
    def ids(limit):
        return {image.id for images in report_of(sample_config, limit=limit).samples.values() for image in images}

    assert ids(6) < ids(14)


def test_report_limit_above_the_number_of_images_is_none(sample_config, report_of, sample_report):
    assert report_of(sample_config, limit=1000) == sample_report


def test_report_is_json(sample_report):
    read = json.loads(sample_report.to_json())
    assert read["counts"] == sample_report.counts
    assert {check["name"]: check["verdict"] for check in read["checks"]}["train_images"] == "warn"


def test_report_samples_are_of_their_label_and_bounded(sample_report):
    assert set(sample_report.samples) == set(sample_report.labels)
    for label, images in sample_report.samples.items():
        assert 0 < len(images) <= data_report.MAX_SAMPLES
        assert {image.label for image in images} == {label}


# Folders.


def test_report_folders_have_no_objects_and_no_rule(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 3)
    report = report_of(folder_config())
    assert report.objects is report.rule is report.sensitivity is None
    assert report.counts == {"train": {"cat": 3, "dog": 3}, "eval": {"cat": 3, "dog": 3}}
    assert "near_threshold" not in {check.name for check in report.checks}
    assert report.near_duplicates.groups == 0


def test_report_look_alike_across_splits_is_listed(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 4)
    picture = folders.draw(1)
    folders.save("train/cat/one.jpg", picture)
    folders.save("eval/cat/other.jpg", picture.resize((128, 96)))
    report = report_of(folder_config())
    (group,) = report.near_duplicates.listed
    assert {one.image.id for one in group.first} == {"train/cat/one.jpg", "eval/cat/other.jpg"}
    assert (group.images, group.splits, group.labels) == (2, ("train", "eval"), ("cat",))
    assert group.first[0].bits == 0
    assert group.first[1].bits <= 6
    assert report.near_duplicates.across_splits == 1
    assert report.near_duplicates.across_labels == 0
    assert {"look_alikes_across_splits", "look_alikes"} <= warnings_of(report)
    assert "look_alikes_across_labels" not in warnings_of(report)


def test_report_grouped_look_alikes_are_in_one_split(folders, folder_config, report_of):
    for label in ("cat", "dog"):
        folders.fill(label, 12)
        for number in range(8):
            folders.save(
                f"{label}/burst{number}.jpg", folders.draw(len(label) + ord(label[0])).resize((160 - number, 120))
            )
    assert report_of(folder_config()).near_duplicates.across_splits == 2
    grouped = report_of(folder_config(group_near_duplicates=True))
    assert grouped.near_duplicates.groups == 2
    assert grouped.near_duplicates.across_splits == 0


def test_report_long_group_shows_each_split_and_label_first(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 2)
    for number in range(data_report.MAX_IN_GROUP + 4):
        folders.save(f"train/cat/{number:02}.jpg", folders.draw(1, size=(160, 120 - number)))
    folders.save("train/dog/z.jpg", folders.draw(1, size=(100, 80)))
    folders.save("eval/dog/z.jpg", folders.draw(1, size=(110, 80)))
    (group,) = report_of(folder_config()).near_duplicates.listed
    assert group.images == data_report.MAX_IN_GROUP + 6
    assert len(group.first) == data_report.MAX_IN_GROUP
    assert {(one.image.split, one.image.label) for one in group.first[:3]} == {
        ("train", "cat"),
        ("train", "dog"),
        ("eval", "dog"),
    }


def test_report_dark_label_warns_of_brightness(folders, folder_config, report_of):
    for split in ("train", "eval"):
        folders.fill(f"{split}/day", 15)
        folders.fill(f"{split}/night", 15, brightness=0.2)
    report = report_of(folder_config())
    gap = check_of(report, "brightness_gap")
    assert gap.verdict is CheckVerdict.WARN
    assert gap.value > 0.95
    assert "aspect_gap" not in warnings_of(report)


def test_report_alike_labels_do_not_warn_of_shortcuts(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 15)
    assert not {name for name in warnings_of(report_of(folder_config())) if name.endswith("_gap")}


def test_report_small_and_long_images_warn(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 3)
    folders.fill("train/cat", 2, size=(90, 90))
    folders.fill("train/dog", 1, size=(96, 96))
    folders.fill("train/dog", 1, size=(300, 120))
    report = report_of(folder_config())
    assert (report.shape.small, report.shape.elongated) == (2, 1)
    assert {"small_images", "elongated_images"} <= warnings_of(report)
    assert not {"small_images"} & warnings_of(report_of(folder_config("transform.side=64")))


def test_report_bad_bytes_copies_and_ignored_files_are_listed(folders, folder_config, report_of):
    for split in ("train", "eval"):
        for label in ("cat", "dog"):
            folders.fill(f"{split}/{label}", 3)
    whole = folders.save("train/cat/whole.jpg", folders.draw(1)).read_bytes()
    (folders.root / "train/cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folders.root / "train/cat/text.png").write_text("no image")
    (folders.root / "train/cat/notes.txt").write_text("ignored")
    shutil.copy(folders.root / "train/cat/whole.jpg", folders.root / "train/cat/zcopy.jpg")
    report = report_of(folder_config())
    left_out = {(group.kind, group.reason, group.from_bytes): group for group in report.left_out}
    assert left_out[Kind.QUARANTINED_IMAGE, "truncated", True].first[0].id == "train/cat/cut.jpg"
    assert left_out[Kind.QUARANTINED_IMAGE, "not_an_image", True].count == 1
    assert left_out[Kind.DROPPED, "duplicate", False].first[0].id == "train/cat/zcopy.jpg"
    assert report.ignored == {".txt": 1}
    assert report.coverage.asked - report.coverage.looked_at == 2
    assert {"quarantined", "copies"} <= warnings_of(report)
    assert check_of(report, "quarantined").shown == "2 images"


def test_report_size_that_annotations_misstate_is_listed(sample_set, config_of, report_of, tmp_path):
    tree = json.loads((sample_set / "instances.json").read_text())
    tree["images"][0]["width"] += 1
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(tree))
    report = report_of(config_of(annotations=str(path), images=str(sample_set / "images")))
    (group,) = report.left_out
    assert (group.reason, group.from_bytes, group.first[0].id) == ("size_mismatch", True, str(tree["images"][0]["id"]))


def test_report_images_that_exif_turns_warn_where_annotations_state_sizes(
    sample_set, config_of, folders, folder_config, report_of, tmp_path
):
    shutil.copytree(sample_set, tmp_path / "set")
    half_turn = Image.Exif()
    half_turn[ExifTags.Base.Orientation] = 3
    for path in sorted((tmp_path / "set/images").iterdir())[:2]:
        Image.open(path).save(path, exif=half_turn)
    report = report_of(config_of(annotations=str(tmp_path / "set/instances.json"), images=str(tmp_path / "set/images")))
    assert report.exif_ignored == 2
    assert "mogrify -auto-orient" in check_of(report, "exif_ignored").advice
    for label in ("cat", "dog"):
        folders.fill(label, 12)
        folders.draw(ord(label[0])).save(folders.root / label / "turned.jpg", exif=half_turn)
    assert "exif_ignored" not in {check.name for check in report_of(folder_config()).checks}


def test_report_of_images_that_are_all_bad_has_no_cues(folders, folder_config, report_of):
    for number, name in enumerate(("train/cat", "train/dog", "eval/cat", "eval/dog")):
        (folders.root / name).mkdir(parents=True)
        (folders.root / name / "a.jpg").write_text(f"no image {number}")
    report = report_of(folder_config())
    assert report.cues == ()
    assert report.coverage.looked_at == 0
    assert check_of(report, "quarantined").value == 4

"""What a pipeline for a cluster is told when it is compiled."""

from pathlib import Path

import pytest

from components.errors import DataError
from components.in_step import IN_STEP
from pipeline.config import read_config
from pipeline.kubeflow.facts import cluster_facts

CONFIGS = Path(__file__).parents[4] / "pipeline" / "configs"
OUT_OF_REACH = ("data.annotations=gs://far/away.json", "data.images=gs://far/away")


def config_of(name, *overrides):
    return read_config(str(CONFIGS / f"{name}.yaml"), overrides)


def test_cluster_facts_of_a_coco_set_out_of_reach_have_its_labels():
    facts = cluster_facts(config_of("demo", *OUT_OF_REACH))
    assert facts.label_names == ("not-person", "person")
    assert {facts.run_id, facts.started_utc, facts.code, facts.released_version, facts.dataset_fingerprint} == {IN_STEP}


def test_cluster_facts_of_a_detector_out_of_reach_have_background_and_categories():
    facts = cluster_facts(config_of("detect_demo", *OUT_OF_REACH, "data.category=[person, dog]"))
    assert facts.label_names == ("background", "person", "dog")


def test_cluster_facts_of_class_folders_are_read_from_the_images(tmp_path):
    for label in ("hand", "foot"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").touch()
    overrides = (f"data.images={tmp_path}",)
    assert cluster_facts(config_of("folders_mobilenet_v1_025_96_gray", *overrides)).label_names == ("foot", "hand")


def test_cluster_facts_of_class_folders_out_of_reach_say_where_labels_come_from(tmp_path):
    overrides = (f"data.images={tmp_path}/none",)
    with pytest.raises(DataError, match="no such folder") as raised:
        cluster_facts(config_of("folders_mobilenet_v1_025_96_gray", *overrides))
    assert "data.format=coco" in raised.value.hint


def test_cluster_facts_have_the_gpus_of_the_steps_that_train():
    assert (facts := cluster_facts(config_of("demo", *OUT_OF_REACH))).gpus == facts.tuner_gpus == 0
    steps = "{Trainer: {accelerator: {count: 2}}, Tuner: {accelerator: {}}}"
    section = f"kubeflow={{image: i, pipeline_root: 'gs://b/r', steps: {steps}}}"
    facts = cluster_facts(config_of("demo", *OUT_OF_REACH, section))
    assert (facts.gpus, facts.tuner_gpus) == (2, 1)

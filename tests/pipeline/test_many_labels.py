"""Three labels and a test split, through the real nodes, from annotations to a C bundle."""

import subprocess
from pathlib import Path

import pytest

from components import features
from components.pusher.stores import open_store
from pipeline.show import print_outcome

LABELS = ("background", "person", "bench")


@pytest.fixture(scope="module")
def config(sample_set, tiny_config, tmp_path_factory):
    overrides = (
        "data.category=[person, bench]",
        "data.splits={train: 0.6, eval: 0.2, test: 0.2}",
        "gates.float.min_auc=0.0",
    )
    return tiny_config(sample_set, tmp_path_factory.mktemp("many") / "run", *overrides)


@pytest.fixture(scope="module")
def run(config, warm_run):
    return warm_run(config)


@pytest.fixture(scope="module")
def release(config, run):
    return open_store(config.release_uri).read_manifest("tiny", run.outcome.publication.version)


def newest(config, node, key):
    return max((Path(config.run.root) / "artifacts" / node / key).iterdir(), key=lambda folder: int(folder.name))


def test_transform_statistics_and_validation_cover_the_test_split(config, run):
    for node, key in (
        ("Transform", "transformed_examples"),
        ("StatisticsGen", "statistics"),
        ("ExampleValidator", "anomalies"),
    ):
        found = {path.name for path in newest(config, node, key).glob("Split-*")}
        assert found == {"Split-train", "Split-eval", "Split-test"}, node


def test_release_of_three_labels_says_so(run, release):
    counts = run.outcome.dataset.counts
    assert release.labels == LABELS == run.outcome.dataset.label_names
    assert release.positive is None
    assert set(counts) == set(features.SPLITS)
    assert all(tuple(by_label) == LABELS and all(by_label.values()) for by_label in counts.values())
    assert [output.shape for output in release.outputs] == [(1, 3)]


def test_int8_model_is_measured_on_eval_and_test_and_judged_on_eval(run, release):
    counts = {split: sum(by_label.values()) for split, by_label in run.outcome.dataset.counts.items()}
    assert list(release.figures.int8_metrics) == ["eval", "test"]
    assert {split: metrics.examples for split, metrics in release.figures.int8_metrics.items()} == {
        "eval": counts["eval"],
        "test": counts["test"],
    }
    assert list(release.figures.float_metrics) == ["eval", "test"]
    assert release.figures.float_metrics["eval"].examples == counts["eval"]
    gates = {gate.name: gate.value for gate in release.gates}
    assert gates["gates.int8.min_accuracy"] == release.figures.int8_metrics["eval"].accuracy
    # The Evaluator's, which integrates over thresholds.
    assert gates["gates.float.min_auc"] == pytest.approx(release.figures.float_metrics["eval"].auc, abs=0.02)
    assert 0.0 <= release.figures.float_metrics["eval"].auc <= 1.0


def test_evaluator_and_quantization_measure_the_same_mean_area(run):
    # Of nearly the same scores, on 20 images or so; TFMA integrates over thresholds.
    assert run.outcome.evaluation.metrics.auc == pytest.approx(run.outcome.figures.int8_metrics["eval"].auc, abs=0.15)


def test_calibration_ids_are_balanced_train_images(config, run, release):
    import tensorflow as tf

    folder = newest(config, "Transform", "transformed_examples")

    def labels(split):
        files = sorted(map(str, (folder / f"Split-{split}").iterdir()))
        for record in tf.data.TFRecordDataset(files, compression_type="GZIP"):
            example = tf.train.Example.FromString(record.numpy()).features.feature
            yield example["source_id"].bytes_list.value[0].decode(), example["label"].int64_list.value[0]

    train = dict(labels("train"))
    chosen = [train[source_id] for source_id in release.calibration.source_ids]
    available = [list(train.values()).count(label) for label in range(3)]
    rarest = min(available)
    assert chosen.count(available.index(rarest)) == rarest  # all of them, and the others share the rest
    assert abs(chosen.count(0) - chosen.count(1)) <= 1


def test_tables_have_a_column_for_each_label_and_a_row_for_the_test_split(config, run, capsys):
    print_outcome(run.outcome, command="vww")
    shown = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["split", "images", *LABELS] for line in shown)
    for split, by_label in run.outcome.dataset.counts.items():
        assert [split, str(sum(by_label.values())), *map(str, by_label.values())] in [line.split() for line in shown]
    test = run.outcome.figures.int8_metrics["test"]
    (row,) = (" ".join(line.split()) for line in shown if line.startswith("int8, test split  "))
    assert row.startswith(f"int8, test split {test.examples} {test.accuracy:.4f} ")
    assert f" {test.auc:.4f} " in row


def test_bundle_of_three_labels_compiles_and_names_them(config, run, tmp_path):
    folder = open_store(config.release_uri).release_uri("tiny", run.outcome.publication.version)
    main = tmp_path / "main.cc"
    main.write_text(
        '#include <cstdio>\n#include "model_settings.h"\n'
        'int main() { std::printf("%d %d %d %d %s", kCategoryCount, kBackgroundIndex, kPersonIndex, kBenchIndex, '
        "kCategoryLabels[kBenchIndex]); }\n"
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", folder]
    subprocess.run(["g++", *flags, main, f"{folder}/model_settings.cc", "-o", tmp_path / "main"], check=True)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout
    assert printed == "3 0 1 2 bench"

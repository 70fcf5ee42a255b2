"""What one run of the installed command leaves behind, checked with other tools than those that wrote it."""

import hashlib
import json
import re
import subprocess
from collections import Counter

import numpy as np
import pytest

from components import features
from components.example_gen.plan import plan_dataset
from components.example_gen.splits import assign_split
from components.pusher.release import SIDE_FILES
from pipeline.config import read_config


@pytest.fixture(scope="session")
def tf():
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def plan(released):
    return plan_dataset(released.config.data)


@pytest.fixture(scope="session")
def raw_eval(tf, released):
    """The serialized eval examples."""
    folder = released.output("CocoExampleGen", "examples") / "Split-eval"
    return [record.numpy() for record in tf.data.TFRecordDataset(sorted(map(str, folder.iterdir())))]


@pytest.fixture(scope="session")
def eval_rasters(tf, released):
    """uint8 [n, side, side, 1] and the labels, as Transform wrote them."""
    folder = released.output("Transform", "transformed_examples") / "Split-eval"
    files = sorted(map(str, folder.iterdir()))
    examples = [
        tf.train.Example.FromString(record.numpy()).features.feature
        for record in tf.data.TFRecordDataset(files, compression_type="GZIP")
    ]
    rasters = np.stack([tf.io.parse_tensor(e["raster"].bytes_list.value[0], tf.uint8).numpy() for e in examples])
    return rasters, np.array([e["label"].int64_list.value[0] for e in examples])


def outcome_slices(released):
    """Images by size of the largest object, as the Evaluator counted them."""
    outcome = json.loads((released.output("MicroPusher", "pushed_model") / "outcome.json").read_text())
    return {name: metrics["examples"] for name, metrics in outcome["evaluation"]["slices"].items()}


def pairwise_auc(scores, labels):
    """By the definition: how often a positive outscores a negative, a tie counting half."""
    differences = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float(np.mean((differences > 0) + 0.5 * (differences == 0)))


# The command.


def test_run_first_run_names_every_node_with_its_time_on_stderr(released, nodes):
    finished = re.findall(r"^\[ ?(\d+)/10\] (\w+) +([\d.]+) s$", released.stderr, re.MULTILINE)
    assert [(int(index), node) for index, node, _ in finished if "/" not in node][-10:] == list(enumerate(nodes, 1))
    assert "reused" not in released.stderr
    for chatter in ("WARNING", "absl", "W0000", "I0000"):
        assert chatter not in released.stderr


def test_run_first_run_prints_its_tables_and_the_next_command_on_stdout(released):
    version = released.manifest["version"]
    assert re.search(rf"^Released: {released.release}$", released.stdout, re.MULTILINE)
    assert f"vww releases show tiny {version} --uri {released.uri}" in released.stdout
    for gate in released.manifest["gates"]:
        assert re.search(rf"^{gate['name']} .* passed", released.stdout, re.MULTILINE)
    for split, counts in released.manifest["dataset"]["images"].items():
        row = f"{split} +{sum(counts.values())} +{counts['not-person']} +{counts['person']}"
        assert re.search(rf"^{row} *$", released.stdout, re.MULTILINE)
    for kind in ("float", "int8"):
        accuracy = f"{released.manifest['figures'][f'{kind}_metrics']['eval']['accuracy']:.4f}"
        assert re.search(rf"^{kind} +\d+ +{accuracy} ", released.stdout, re.MULTILINE)


def test_run_writes_everything_below_its_root(released):
    assert {path.name for path in released.root.iterdir()} == {
        ".lock", "artifacts", "logs", "metadata.sqlite", "releases", "report.html",
    }  # fmt: skip
    assert {path.name for path in released.root.parent.iterdir()} == {"run", "tiny.yaml"}


def test_run_keeps_the_chatter_in_one_log(released):
    (log,) = [
        path for path in (released.root / "logs").iterdir() if released.manifest["run"]["pipeline_run_id"] in path.name
    ]
    assert "CocoExampleGen" in log.read_text(errors="replace")


def test_run_leaves_no_execution_unfinished(released, metadata_of):
    metadata_of(released.root).check_nothing_half_written()


# The manifest.


def test_manifest_hashes_every_file(released):
    files = {str(p.relative_to(released.release)): p for p in released.release.rglob("*") if p.is_file()}
    for name in ("manifest.json", *SIDE_FILES):
        del files[name]
    assert set(released.manifest["files"]) == set(files)
    for name, path in files.items():
        content = path.read_bytes()
        found = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        assert released.manifest["files"][name] == found


def test_manifest_version_is_that_of_sha256sum(released):
    command = (
        "find . -type f -printf '%P\\0' | grep -zEv '^(manifest|provenance|sbom|MODEL_CARD)[.]'"
        " | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    )
    digest = subprocess.run(["bash", "-c", command], cwd=released.release, check=True, capture_output=True, text=True)
    assert digest.stdout[:12] == released.manifest["version"] == released.release.name


def test_manifest_counts_are_those_of_the_plan(released, plan):
    counts = {split: dict(zip(plan.label_names, by_label, strict=True)) for split, by_label in plan.counts.items()}
    dataset = released.manifest["dataset"]
    assert dataset["images"] == counts
    assert dataset["quarantined"] == {}
    assert dataset["fingerprint"] == plan.fingerprint


def without_image(tf, record):
    """An example without the image's bytes, which are in it by their own digest."""
    values = tf.train.Example.FromString(record).features.feature
    return record.replace(values[features.ENCODED].bytes_list.value[0], b"")


def test_manifest_dataset_digest_is_the_sum_over_the_examples_in_any_order(tf, released):
    total = 0
    for split in ("train", "eval"):
        folder = released.output("CocoExampleGen", "examples") / f"Split-{split}"
        for record in tf.data.TFRecordDataset(sorted(map(str, folder.iterdir()))):
            total += int.from_bytes(hashlib.sha256(split.encode() + without_image(tf, record.numpy())).digest(), "big")
    assert released.manifest["dataset"]["digest"] == f"{total % 2**256:064x}"


def test_manifest_calibration_images_are_train_images_and_balanced(released, plan):
    calibration = released.manifest["calibration"]
    ids = calibration["source_ids"]
    assert calibration["count"] == len(ids) == len(set(ids)) == released.config.release.calibration_images
    shares, seed = dict(released.config.data.splits), released.config.data.split_seed
    assert {assign_split(source_id, shares, seed) for source_id in ids} == {"train"}
    labels = {image.record.source_id: image.label for image in plan.records}
    assert Counter(labels[source_id] for source_id in ids) == {0: 20, 1: 20}
    assert calibration["seed"] == released.config.run.seed


def test_manifest_says_which_code_rule_and_stack_made_it(released, plan):
    manifest = released.manifest
    assert manifest["label_rule"] == {
        "id": "slim",
        "version": plan.rule.version,
        "digest": plan.rule.digest(),
        "in_words": plan.rule.in_words(),
    }
    assert (manifest["positive"], manifest["labels"]) == ("person", ["not-person", "person"])
    assert {"tfx", "tensorflow", "keras", "ai-edge-litert", "tflite-micro"} <= set(manifest["stack"])
    assert manifest["run"]["root"] == str(released.root)
    assert manifest["code"]["version"]
    assert re.fullmatch(r"[0-9a-f]{40}", manifest["code"]["commit"] or "0" * 40)


def test_manifest_gates_are_all_there_with_limit_and_value(released):
    gates = {gate["name"]: gate for gate in released.manifest["gates"]}
    assert {
        "gates.float.min_accuracy", "gates.int8.min_accuracy", "gates.int8.max_accuracy_drop",
        "gates.int8.max_flatbuffer_bytes", "gates.int8.max_arena_bytes", "gates.int8.max_parity_lsb",
    } <= set(gates)  # fmt: skip
    assert all(isinstance(gate["value"], int | float) for gate in gates.values())
    assert gates["gates.int8.min_accuracy"]["value"] == released.manifest["figures"]["int8_metrics"]["eval"]["accuracy"]
    assert (
        gates["gates.int8.max_flatbuffer_bytes"]["value"]
        == (released.release / "tiny_person_micro.tflite").stat().st_size
    )
    assert gates["gates.int8.max_flatbuffer_bytes"]["limit"] == 250_000


# Its files.


def test_release_labels_and_config_read_back(released):
    assert (released.release / "labels.txt").read_text() == "not-person\nperson\n"
    assert read_config(str(released.release / "config.yaml")) == released.config


def test_release_c_array_compiles_without_warnings_and_holds_the_flatbuffer(released, tmp_path):
    flatbuffer = (released.release / "tiny_person_micro.tflite").read_bytes()
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", released.release]
    compiled = tmp_path / "model.o"
    source = released.release / "tiny_person_model_data.cc"
    subprocess.run(["g++", *flags, "-c", source, "-o", compiled], check=True)
    main = tmp_path / "main.cc"
    main.write_text(
        '#include <cstdio>\n#include "tiny_person_model_data.h"\n'
        "int main() { std::fwrite(g_tiny_person_model_data, 1, g_tiny_person_model_data_size, stdout); }\n"
    )
    subprocess.run(["g++", *flags, main, compiled, "-o", tmp_path / "main"], check=True)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True).stdout
    assert printed == flatbuffer
    assert flatbuffer[4:8] == b"TFL3"


def test_release_int8_metrics_measured_again_are_those_of_the_manifest(released, eval_rasters):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    rasters, labels = eval_rasters
    interpreter = Interpreter(
        model_path=str(released.release / "tiny_person.tflite"),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    (entry,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    scores = []
    for raster in rasters:
        interpreter.set_tensor(entry["index"], (raster.astype(np.int16) - 128).astype(np.int8)[None])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(answer["index"])[0].astype(int))
    scores = np.array(scores)
    found = released.manifest["figures"]["int8_metrics"]["eval"]
    assert found["examples"] == len(labels)
    assert found["accuracy"] == pytest.approx(np.mean((scores[:, 1] > scores[:, 0]) == labels))
    assert found["auc"] == pytest.approx(pairwise_auc(scores[:, 1], labels))
    assert np.sum(found["confusion"]) == len(labels)
    assert found["labels"]["person"]["recall"]["value"] == pytest.approx(
        np.mean((scores[:, 1] > scores[:, 0])[labels == 1])
    )
    sizes = Counter({name: rate["images"] for name, rate in found["slices"].items()})
    assert sizes == Counter(outcome_slices(released))
    point = released.manifest["figures"]["operating_point"]
    rates = point["rates"]["eval"]
    assert rates["recall"]["value"] == pytest.approx(np.mean(scores[labels == 1, 1] >= point["code"]))
    assert rates["false_alarms"]["value"] == pytest.approx(np.mean(scores[labels == 0, 1] >= point["code"]))


def test_release_saved_model_serves_examples_as_the_evaluator_measured(tf, released, raw_eval, eval_rasters):
    model = tf.saved_model.load(str(released.release / "saved_model"))
    assert set(model.signatures) == {features.SERVING_SIGNATURE, features.PIXELS_SIGNATURE}
    served = model.signatures[features.SERVING_SIGNATURE](examples=tf.constant(raw_eval))[
        features.PROBABILITIES
    ].numpy()
    assert served.shape == (len(raw_eval), 2)
    np.testing.assert_allclose(served.sum(axis=1), 1.0, atol=1e-6)
    labels = np.array(
        [tf.train.Example.FromString(e).features.feature[features.LABEL].int64_list.value[0] for e in raw_eval]
    )
    found = released.manifest["figures"]["float_metrics"]["eval"]
    assert found["examples"] == len(labels)
    assert found["accuracy"] == pytest.approx(np.mean(served.argmax(axis=1) == labels))

    # The same images by the other signature, from Transform's rasters.
    rasters, _ = eval_rasters
    pixels = model.signatures[features.PIXELS_SIGNATURE]
    fed = np.stack(
        [pixels(image=tf.constant(r[None].astype(np.float32) / 127.5 - 1))["probabilities"][0] for r in rasters]
    )
    np.testing.assert_allclose(np.sort(fed[:, 1]), np.sort(served[:, 1]), atol=1e-4)  # other kernels for a batch


# `vww releases`, which needs no TensorFlow.


def test_releases_list_says_what_is_staged(released, vww):
    code, stdout, stderr = vww("releases", "list", "--uri", released.uri)
    assert (code, stderr) == (0, "")
    (row,) = [line for line in stdout.splitlines() if released.release.name in line]
    assert row.split()[:3] == ["tiny", released.release.name, "staging"]


@pytest.mark.parametrize("with_version", [True, False])
def test_releases_show_prints_the_release(released, vww, with_version):
    version = [released.release.name] if with_version else []
    code, stdout, _ = vww("releases", "show", "tiny", *version, "--uri", released.uri)
    assert code == 0
    assert f"{released.release}  (in staging)" in stdout
    assert "gates.int8.min_accuracy" in stdout


def test_releases_show_json_is_the_manifest(released, vww):
    code, stdout, _ = vww("releases", "show", "tiny", "--json", "--uri", released.uri)
    assert (code, json.loads(stdout)) == (0, released.manifest)


def test_releases_verify_counts_the_files_and_asks_the_golden_vectors_again(released, vww):
    code, stdout, _ = vww("releases", "verify", "tiny", "--uri", released.uri)
    files, golden = len(released.manifest["files"]), released.manifest["golden"]
    key = released.manifest["signing_key_id"][:12]
    says = (
        f"{files} files as the manifest says",
        f"{len(released.manifest['gates'])} gates passed",
        f"the provenance statement speaks of these files; signed by key {key}, which --key would check",
        "8 golden vectors answered as before",
    )
    assert (code, stdout) == (0, "".join(f"{released.release}: {line}\n" for line in says))
    assert [golden["labels"].count(label) for label in (0, 1)] == [4, 4]


def test_inspect_released_flatbuffer_says_what_the_manifest_says(released, vww):
    code, stdout, _ = vww("inspect", "--json", released.release / "tiny_person_micro.tflite")
    report, footprint = json.loads(stdout), released.manifest["footprint"]
    assert code == 0
    assert report["flatbuffer_bytes"] == footprint["flatbuffer_bytes"]
    assert (released.release / "tiny_person.tflite").stat().st_size == footprint["portable_bytes"]
    assert report["tflm"]["arena"]["shares"] == footprint["arena_shares"]
    assert report["macs"] == footprint["macs"]
    assert report["tflm"]["arena"]["total_bytes"] == footprint["arena_total_bytes"]
    assert report["inputs"] == [released.manifest["input"]]


def test_releases_rebuild_gives_every_byte_again(released, vww):
    code, stdout, stderr = vww("releases", "rebuild", "tiny", "--uri", released.uri)
    assert code == 0, stderr
    for name in ("tiny_person.tflite", "tiny_person_micro.tflite", "tiny_person_model_data.cc"):
        assert re.search(rf"^{re.escape(name)} +[\d,]+ bytes +equal to the byte", stdout, re.MULTILINE), stdout
    assert f"from {released.config.release.calibration_images} calibration images" in stderr
    assert "Other versions" not in stdout

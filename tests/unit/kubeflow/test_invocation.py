"""What a step is given, and what it gives back."""

import pytest

from components.errors import DataError
from components.kubeflow.invocation import prepare, publish

TYPE = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
SPEC = {"artifacts": {"model": {"artifactType": TYPE}, "hints": {"artifactType": TYPE, "isOptional": True}}}


@pytest.fixture
def given(tmp_path):
    """An invocation on Kubeflow Pipelines, and on Vertex AI, whose inputs are there."""
    (tmp_path / "gcs/b/in").mkdir(parents=True)
    (tmp_path / "gcs/b/in/file").touch()
    metadata = {
        "display_name": "model",
        "store_session_info": "{}",
        "nothing": None,
        "count": 3,
        "names": {"list": ["a", "b"]},
        "scores": {"struct": {"a": 1}},
        "made_from": "gs://b/in/file",
        "released": "gs://releases/v1",
    }

    def invocation(output_file, **changes):
        model = {"name": "7", "uri": "gs://b/in", "type": {"instanceSchema": ""}, "metadata": metadata, **changes}
        return {
            "inputs": {"artifacts": {"model": {"artifacts": [model]}}},
            "outputs": {"outputFile": output_file, "artifacts": {"out": {"artifacts": [{"uri": "gs://b/out"}]}}},
        }

    return invocation


@pytest.fixture
def staged_file(tmp_path):
    folder = tmp_path / "tmp/kfp_outputs"
    folder.mkdir(parents=True)
    return str(folder / "output_metadata.json")


def test_prepare_gives_types_plain_metadata_and_folders(given, staged_file, tmp_path):
    prepared, _ = prepare(given(staged_file), SPEC, tmp_path)
    (model,) = prepared["inputs"]["artifacts"]["model"]["artifacts"]
    assert model == {
        "name": "7",
        "uri": f"{tmp_path}/gcs/b/in",
        "type": TYPE,
        "metadata": {
            "count": 3,
            "names": ["a", "b"],
            "scores": {"a": 1},
            "made_from": f"{tmp_path}/gcs/b/in/file",
            "released": "gs://releases/v1",
        },
    }
    assert list((tmp_path / "gcs/b/out").iterdir()) == []


def test_prepare_names_an_artifact_that_came_without_a_name(given, staged_file, tmp_path):
    invocation = given(staged_file)
    del invocation["inputs"]["artifacts"]["model"]["artifacts"][0]["name"]
    prepared, _ = prepare(invocation, SPEC, tmp_path)
    assert prepared["inputs"]["artifacts"]["model"]["artifacts"][0]["name"] == "model"


def test_prepare_leaves_what_it_was_given_alone(given, staged_file, tmp_path):
    invocation = given(staged_file)
    prepare(invocation, SPEC, tmp_path)
    assert invocation == given(staged_file)


def test_prepare_on_vertex_ai_shows_the_mounted_bucket_and_leaves_the_record_in_it(given, tmp_path):
    prepared, _ = prepare(given("gs://b/executor_output.json"), SPEC, tmp_path)
    assert prepared["inputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == f"{tmp_path}/gcs/b/in"
    assert prepared["outputs"]["outputFile"] == "gs://b/executor_output.json"


def test_prepare_with_a_folder_of_empty_folders_is_refused(given, staged_file, tmp_path):
    (tmp_path / "gcs/b/empty/Split-train").mkdir(parents=True)
    with pytest.raises(DataError, match="input model: there is no file at gs://b/empty"):
        prepare(given(staged_file, uri="gs://b/empty"), SPEC, tmp_path)


def test_prepare_without_a_needed_input_is_refused(staged_file, tmp_path):
    with pytest.raises(DataError, match="input model: missing"):
        prepare({"outputs": {"outputFile": staged_file}}, SPEC, tmp_path)


def test_publish_maps_back_and_leaves_no_null(given, staged_file, tmp_path):
    _, staging = prepare(given(staged_file), SPEC, tmp_path)
    metadata = {"current_model": f"{tmp_path}/gcs/b/in", "blessed": 1.0, "baseline_model": None}
    output = {"artifacts": {"out": {"artifacts": [{"uri": f"{tmp_path}/gcs/b/out", "metadata": metadata}]}}}
    assert publish(output, staging) == {
        "artifacts": {
            "out": {"artifacts": [{"uri": "gs://b/out", "metadata": {"current_model": "gs://b/in", "blessed": 1.0}}]}
        }
    }

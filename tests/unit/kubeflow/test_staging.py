"""Where a launcher keeps artifacts."""

from pathlib import Path

import pytest

from components.kubeflow.staging import Staging, container_root, is_staged


@pytest.mark.parametrize(("scheme", "folder"), [("gs", "gcs"), ("s3", "s3"), ("minio", "minio")])
def test_staging_maps_every_scheme_and_paths_in_an_artifact_there_and_back(scheme, folder):
    uri = f"{scheme}://bucket/run/model"
    staging = Staging(Path("/"), [uri])
    for below in ("", "/Format-Serving/saved_model.pb"):
        assert staging.to_folder(uri + below) == f"/{folder}/bucket/run/model{below}"
        assert staging.to_uri(f"/{folder}/bucket/run/model{below}") == uri + below


@pytest.mark.parametrize(
    "text", ["gs://bucket/run/model2", "gs://releases/v1", "model", "", "at gs://bucket/run/model"]
)
def test_staging_leaves_what_is_no_artifact_of_the_step(text):
    assert Staging(Path("/"), ["gs://bucket/run/model"]).to_folder(text) == text


def test_staging_leaves_local_artifacts_where_they_are():
    staging = Staging(Path("/"), ["/local/model"])
    assert staging.to_folder("/local/model") == staging.to_uri("/local/model") == "/local/model"


@pytest.mark.parametrize(
    ("output_file", "root"),
    [
        ("/tmp/kfp_outputs/output_metadata.json", "/"),
        ("/work/step/tmp/kfp_outputs/output_metadata.json", "/work/step"),
        ("/elsewhere/executor_output.json", "/"),
    ],
)
def test_container_root_is_above_the_launchers_own_folder(output_file, root):
    assert container_root(output_file) == Path(root)


def test_is_staged_on_vertex_ai_is_false():
    assert not is_staged("gs://bucket/run/executor_output.json")
    assert is_staged("/tmp/kfp_outputs/output_metadata.json")

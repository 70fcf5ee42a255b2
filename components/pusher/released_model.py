"""ReleasedModel: the baseline, as an ordinary component that reads the release store.

TFX would use a Resolver, which open-source Kubeflow Pipelines cannot run.
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tensorflow.io import gfile
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from components import features
from components.exported_model import RELEASE_NOTE
from components.in_step import IN_STEP
from components.pusher.baseline import find_baseline
from components.pusher.provenance.keys import read_public_key
from components.pusher.release import TRAINING_STATISTICS_NAME
from components.pusher.stores import open_store

_VERSION = "version"
_READ_UTC = "read_utc"


def released_version(artifact: Any) -> str | None:
    """The version that a ReleasedModel's artifact was made from; None where nothing was released."""
    return artifact.get_string_custom_property(_VERSION) or None


def run_started_utc(artifact: Any) -> str:
    """When a run on a cluster began: when its ReleasedModel, which waits for no other step, looked for the baseline."""
    read_utc: str = artifact.get_string_custom_property(_READ_UTC)
    return read_utc


class ReleasedModelSpec(ComponentSpec):  # type: ignore[misc]  # TFX publishes no types
    """`version` is empty while nothing was released, or `IN_STEP`; `trusted_keys` are paths, as a JSON list."""

    PARAMETERS = {  # noqa: RUF012  # TFX's way
        "release_uri": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
        "version": ExecutionParameter(type=str),
        "trusted_keys": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}  # noqa: RUF012
    OUTPUTS = {  # noqa: RUF012
        "model": ChannelParameter(type=standard_artifacts.Model),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
    }


class Executor(base_executor.BaseExecutor):  # type: ignore[misc]
    """Copies a release's SavedModel and statistics into artifacts, or says in notes that there are none."""

    def Do(  # noqa: N802  # TFX's name
        self,
        input_dict: dict[str, Any],  # noqa: ARG002
        output_dict: dict[str, Any],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `released_model.txt`; where there is a release, `Format-Serving/` and `Split-train/FeatureStats.pb`.

        Raises:
          ConfigError: if a key cannot be used.
          ReleaseError: if the release is damaged, or if none of the trusted keys signed it; where its version is found
            out here, also if something else than releases is in the store.
          StorageError: where the version is found out here, if the store cannot be written.
        """
        model = artifact_utils.get_single_instance(output_dict["model"])
        statistics = artifact_utils.get_single_instance(output_dict["statistics"])
        store, model_name = open_store(exec_properties["release_uri"]), exec_properties["model_name"]
        trusted = tuple(read_public_key(Path(path)) for path in json.loads(exec_properties["trusted_keys"]))
        version = exec_properties["version"]
        if version == IN_STEP:
            read_utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for artifact in (model, statistics):
                artifact.set_string_custom_property(_READ_UTC, read_utc)
            version = find_baseline(store, model_name, trusted) or ""
        statistics.split_names = artifact_utils.encode_split_names([features.TRAIN] if version else [])
        if version:
            with tempfile.TemporaryDirectory() as folder:
                release = Path(folder) / "release"
                store.fetch(model_name, version, release, trusted)
                io_utils.copy_dir(str(release / "saved_model"), path_utils.serving_model_dir(model.uri))
                split_uri = artifact_utils.get_split_uri([statistics], features.TRAIN)
                gfile.makedirs(split_uri)
                gfile.copy(str(release / TRAINING_STATISTICS_NAME), f"{split_uri}/{DEFAULT_FILE_NAME}")
        for artifact in (model, statistics):
            artifact.set_string_custom_property(_VERSION, version)
            with gfile.GFile(f"{artifact.uri}/{RELEASE_NOTE}", "w") as file:
                file.write(f"{version}\n" if version else "nothing was released yet\n")


class ReleasedModel(base_component.BaseComponent):  # type: ignore[misc]
    """The released model and the statistics of its training data, for the gates to compare the new ones with.

    Args:
      release_uri: the release store.
      model_name: folder of the model in it.
      version: the released version when the run started; None where nothing was released. `IN_STEP` takes what is
        released when the step runs, whose result must then not be served from a cache.
      trusted_keys: files of public keys, of which one must have signed it; empty asks for none.
    """

    SPEC_CLASS = ReleasedModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self, *, release_uri: str, model_name: str, version: str | None, trusted_keys: tuple[str, ...]
    ) -> None:
        super().__init__(
            ReleasedModelSpec(
                release_uri=release_uri,
                model_name=model_name,
                version="" if version is None else version,
                trusted_keys=json.dumps(trusted_keys),
                model=Channel(type=standard_artifacts.Model),
                statistics=Channel(type=standard_artifacts.ExampleStatistics),
            )
        )

"""Executor of AnomalyGate."""

from typing import Any

from tensorflow.io import gfile
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator import executor as example_validator
from tfx.types import artifact_utils

from components.errors import DataError


class Executor(example_validator.Executor):  # type: ignore[misc]  # TFX publishes no types
    """TFX's ExampleValidator, whose anomalies stop the run."""

    def Do(  # noqa: N802  # TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> Any:
        """Validates the statistics of every split.

        Raises:
          DataError: naming each anomaly, if there is one.
        """
        executor_output = super().Do(input_dict, output_dict, exec_properties)
        anomalies_artifact = artifact_utils.get_single_instance(output_dict["anomalies"])
        found = [
            f"{split}: {feature or 'the whole split'}: {info.description}"
            for split in artifact_utils.decode_split_names(anomalies_artifact.split_names)
            for feature, info in _read_anomalies(anomalies_artifact, split)
        ]
        if found:
            raise DataError(
                "the examples do not fit the schema: " + "; ".join(found),
                expected="no anomaly against components/data_validation/schema.pbtxt",
                hint="mend the data, or the schema if the data is right",
            )
        return executor_output


def _read_anomalies(artifact: Any, split: str) -> list[tuple[str, Any]]:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{example_validator.DEFAULT_FILE_NAME}"
    with gfile.GFile(path, "rb") as file:
        anomalies = anomalies_pb2.Anomalies.FromString(file.read())
    found = sorted(anomalies.anomaly_info.items())
    if anomalies.HasField("dataset_anomaly_info"):
        found.append(("", anomalies.dataset_anomaly_info))
    return found

"""Executor of DataGate."""

from typing import Any

from tensorflow.io import gfile
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.utils import io_utils, writer_utils

from components import features
from components.data_validation.statistics import find_anomalies, read_drift, read_statistics
from components.drift import DRIFT_FILE, Drift
from components.errors import DataError, GateError
from components.gate_options import DataGates
from components.verdicts import Verdict


class Executor(BaseExecutor):  # type: ignore[misc]  # TFX publishes no types
    """Holds the statistics of every split against the schema, and the train split against the released model's."""

    def Do(  # noqa: N802  # TFX's name
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]
    ) -> None:
        """Writes the artifact that `components.drift` shows.

        Raises:
          DataError: naming each anomaly, if there is one.
          GateError: naming each feature that has drifted beyond its limit.
        """
        gates = DataGates.from_json(exec_properties["gates"])
        statistics = artifact_utils.get_single_instance(input_dict["statistics"])
        released = artifact_utils.get_single_instance(input_dict["released_statistics"])
        schema_uri = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
        output = artifact_utils.get_single_instance(output_dict["anomalies"])
        output.split_names, output.span = statistics.split_names, statistics.span

        baseline = read_statistics(released, features.TRAIN)
        found: dict[str, anomalies_pb2.Anomalies] = {}
        for split in artifact_utils.decode_split_names(statistics.split_names):
            found[split] = find_anomalies(
                read_statistics(statistics, split), schema, baseline if split == features.TRAIN else None
            )
            folder = artifact_utils.get_split_uri([output], split)
            writer_utils.write_anomalies(f"{folder}/{DEFAULT_FILE_NAME}", found[split])
        drift = Drift(
            baseline=None if baseline is None else released.get_string_custom_property("version"),
            features=read_drift(found[features.TRAIN], gates),
        )
        with gfile.GFile(f"{output.uri}/{DRIFT_FILE}", "w") as file:
            file.write(drift.model_dump_json(indent=2) + "\n")
        _check_anomalies(found)
        _check_drift(drift)


def _check_anomalies(found: dict[str, anomalies_pb2.Anomalies]) -> None:
    sentences = []
    for split, anomalies in found.items():
        for feature, info in sorted(anomalies.anomaly_info.items()):
            sentences.append(f"{split}: {feature}: {info.description}")
        if anomalies.HasField("dataset_anomaly_info"):
            sentences.append(f"{split}: the whole split: {anomalies.dataset_anomaly_info.description}")
    if sentences:
        raise DataError(
            "the examples do not fit the schema: " + "; ".join(sentences),
            expected="no anomaly against components/data_validation/statistics_schema.pbtxt",
            hint="mend the data, or the schema if the data is right",
        )


def _check_drift(drift: Drift) -> None:
    verdict = Verdict(gates=tuple(gate for feature in drift.features if (gate := feature.gate) is not None))
    if not verdict.passed:
        raise GateError(
            f"the train split has drifted from that of the released {drift.baseline}: " + "; ".join(verdict.reasons()),
            expected="every feature within its limit; measured "
            + ", ".join(f"{row.feature} {row.value:.4f}" for row in drift.features),
            hint="look at what changed in the data; if it was meant, raise the limit with --set gates.data.KEY=VALUE",
        )

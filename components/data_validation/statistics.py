"""What TFDV computes of the transformed examples, and holds against the curated schema and the released model's."""

from typing import Any

import tfx  # noqa: F401  # first: it stands in for a module that TFDV wants and tfx_bsl no longer has

# isort: split
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.types import artifact_utils

from components import features
from components.drift import Distance, FeatureDrift, limit_of
from components.gate_options import DataGates

_DISTANCES = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: Distance.L_INFINITY,
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: Distance.JENSEN_SHANNON,
}


def statistics_options() -> tfdv.StatsOptions:
    """Descriptive features only: a raster says nothing as a string of bytes, and costs the most to look at."""
    return tfdv.StatsOptions(feature_allowlist=list(features.DESCRIPTIVE))


def read_statistics(artifact: Any, split: str) -> statistics_pb2.DatasetFeatureStatisticsList | None:
    """The statistics of one split; None where the artifact has no such split, as where nothing was released."""
    if split not in artifact_utils.decode_split_names(artifact.split_names):
        return None
    return tfdv.load_stats_binary(f"{artifact_utils.get_split_uri([artifact], split)}/{DEFAULT_FILE_NAME}")


def find_anomalies(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    released: statistics_pb2.DatasetFeatureStatisticsList | None,
) -> anomalies_pb2.Anomalies:
    """Holds the statistics of one split against the schema, and measures their drift from `released`."""
    return tfdv.validate_statistics(statistics, schema, previous_statistics=released)


def read_drift(anomalies: anomalies_pb2.Anomalies, gates: DataGates) -> tuple[FeatureDrift, ...]:
    """What `find_anomalies` measured, with the limits that it has to keep to."""
    measured = []
    for info in anomalies.drift_skew_info:
        for measurement in info.drift_measurements:
            distance = _DISTANCES[measurement.type]
            measured.append(
                FeatureDrift(
                    feature=".".join(info.path.step),
                    distance=distance,
                    value=measurement.value,
                    limit=limit_of(distance, gates),
                )
            )
    return tuple(sorted(measured, key=lambda drift: drift.feature))

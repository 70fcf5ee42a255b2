"""The statistics of a train split as they stand in a release: the same split, the same bytes."""

from tensorflow_metadata.proto.v0 import statistics_pb2


def canonical_statistics(serialized: bytes) -> bytes:
    """TFDV's statistics without what depends on how Beam happened to batch the examples.

    Sums of floats differ in their last bits with the order of adding, so means and standard deviations are kept to
    six digits. Drift is measured on the histograms.

    Args:
      serialized: a DatasetFeatureStatisticsList, as StatisticsGen writes it.

    Returns:
      A DatasetFeatureStatisticsList, its features in the order of their names.
    """
    statistics = statistics_pb2.DatasetFeatureStatisticsList.FromString(serialized)
    for dataset in statistics.datasets:
        ordered = sorted(dataset.features, key=lambda feature: tuple(feature.path.step))
        del dataset.features[:]
        dataset.features.extend(ordered)
        for feature in dataset.features:
            if feature.HasField("num_stats"):
                feature.num_stats.mean = float(f"{feature.num_stats.mean:.6g}")
                feature.num_stats.std_dev = float(f"{feature.num_stats.std_dev:.6g}")
    return bytes(statistics.SerializeToString(deterministic=True))

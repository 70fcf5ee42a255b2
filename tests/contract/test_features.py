"""The feature table, the schema and the examples name the same keys, with the same types."""

import re

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import features
from components.data_validation.schema import raw_schema_text, statistics_schema_text
from components.example_gen import labeling
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.image_records import Annotation, ImageRecord, pack_annotations
from components.example_gen.records import encode_example
from components.transform.options import TrainingRaster, TransformJob, TransformOptions
from components.transform.preprocessing import preprocessing_fn

BOX_KEYS = [features.YMIN, features.XMIN, features.YMAX, features.XMAX]
OF_DETECTORS = {features.BOXES, features.BOX_LABELS, features.BOX_CROWDS}
SCHEMA_TYPES = {"bytes": "BYTES", "int64": "INT", "float32": "FLOAT"}
KINDS = {"bytes": "bytes_list", "int64": "int64_list", "float32": "float_list"}


def table(title):
    """Key to (type, whether it is a list) of one table in the docstring of `components.features`."""
    text = features.__doc__.partition(title)[2].partition("\n\nTransformed")[0]
    rows = {}
    for keys, dtype, meaning in re.findall(r"^    (\S.*?) {2,}(bytes|int64|float32) +(.*)$", text, re.MULTILINE):
        for key in BOX_KEYS if keys == f"{features.YMIN} ..." else keys.split(", "):
            rows[key] = (dtype, meaning.startswith("[n]"))
    return rows


RAW = table("Raw examples")
TRANSFORMED = table("Transformed examples")


def parse_schema(text):
    return {f.name: f for f in text_format.Parse(text, schema_pb2.Schema()).feature}


@pytest.fixture(scope="module")
def schema():
    return parse_schema(raw_schema_text(2))


@pytest.fixture(scope="module")
def statistics_schema():
    return parse_schema(statistics_schema_text(2))


def test_feature_table_lists_every_key_of_the_module_once():
    constants = {
        value
        for name, value in vars(features).items()
        if name.isupper() and isinstance(value, str) and value.startswith("image/")
    }
    assert set(RAW) == constants
    assert set(TRANSFORMED) == {
        features.RASTER,
        features.TRANSFORMED_SOURCE_ID,
        features.OBJECT_BOXES,
        features.TRAINING_RASTER,
        *OF_DETECTORS,
        *features.DESCRIPTIVE,
    }


def test_schema_names_exactly_the_raw_features_with_their_types(schema):
    assert {name: schema_pb2.FeatureType.Name(f.type) for name, f in schema.items()} == {
        key: SCHEMA_TYPES[dtype] for key, (dtype, _) in RAW.items()
    }


def test_schema_scalars_are_required_and_lists_may_be_empty(schema):
    for key, (_, is_list) in RAW.items():
        assert schema[key].HasField("value_count") == is_list, key
        assert schema[key].HasField("shape") == (not is_list), key
        assert (schema[key].presence.min_fraction == 1.0) == (not is_list), key


def test_schema_domains_are_what_the_code_writes(schema):
    assert list(schema[features.LARGEST_OBJECT].string_domain.value) == list(labeling.SIZE_BUCKETS)
    assert set(schema[features.FORMAT].string_domain.value) == {"jpeg", "png"}


@pytest.mark.parametrize("label_count", [2, 3, 80])
def test_schemas_know_as_many_labels_as_they_are_asked_for(label_count):
    raw, described = parse_schema(raw_schema_text(label_count)), parse_schema(statistics_schema_text(label_count))
    described = described[features.TRANSFORMED_LABEL].int_domain
    for domain in (raw[features.LABEL].int_domain, raw[features.OBJECT_LABEL].int_domain, described):
        assert (domain.min, domain.max) == (0, label_count - 1)
    assert described.is_categorical


def test_statistics_schema_names_exactly_the_descriptive_features_with_their_types(statistics_schema):
    assert {name: schema_pb2.FeatureType.Name(f.type) for name, f in statistics_schema.items()} == {
        key: SCHEMA_TYPES[TRANSFORMED[key][0]] for key in features.DESCRIPTIVE
    }
    assert all(f.HasField("shape") and f.presence.min_fraction == 1.0 for f in statistics_schema.values())


def test_statistics_schema_measures_drift_of_every_feature_and_limits_none(statistics_schema):
    for name, feature in statistics_schema.items():
        comparator = feature.drift_comparator
        is_label = name == features.TRANSFORMED_LABEL
        assert comparator.HasField("infinity_norm") == is_label
        assert comparator.HasField("jensen_shannon_divergence") == (not is_label)
        assert (comparator.infinity_norm.threshold or comparator.jensen_shannon_divergence.threshold) > 1


@pytest.mark.parametrize("objects", [0, 2])
def test_encode_example_writes_exactly_the_raw_features_with_their_types(objects):
    boxes = (Annotation(1, 50.0, (1.0, 2.0, 3.0, 4.0), is_crowd=False),) * objects
    record = ImageRecord(7, "a/7.jpg", 40, 30, pack_annotations(boxes))
    parts = encode_example(
        record, CheckedImage(b"x", "jpeg", 40, 30, reencoded=False), label=1, label_text="p", largest_object="none"
    )
    serialized = b"".join(parts)
    written = tf.train.Example.FromString(serialized).features.feature
    assert {key: value.WhichOneof("kind") for key, value in written.items()} == {
        key: KINDS[dtype] for key, (dtype, _) in RAW.items()
    }
    lengths = {key: len(getattr(value, value.WhichOneof("kind")).value) for key, value in written.items()}
    assert lengths == {key: objects if is_list else 1 for key, (_, is_list) in RAW.items()}


@pytest.mark.parametrize(
    ("task", "left_out"), [("classification", OF_DETECTORS), ("detection", {features.OBJECT_BOXES})]
)
def test_preprocessing_fn_gives_exactly_the_transformed_features_with_their_types(task, left_out):
    box = tf.ragged.constant([[0.25, 0.5]], tf.float32).to_sparse()
    png = tf.io.encode_png(np.zeros((4, 4, 1), np.uint8))
    outputs = preprocessing_fn(
        {
            features.ENCODED: png[None],
            features.SOURCE_ID: tf.constant(["7"]),
            **{key: tf.constant([4], tf.int64) for key in (features.LABEL, features.WIDTH, features.HEIGHT)},
            **dict.fromkeys(
                (
                    features.OBJECT_CATEGORY,
                    features.OBJECT_GIVES_LABEL,
                    features.OBJECT_LABEL,
                    features.OBJECT_IS_CROWD,
                ),
                tf.ragged.constant([[1, 1]], tf.int64).to_sparse(),
            ),
            **dict.fromkeys(BOX_KEYS, box),
        },
        {
            "job": TransformJob(
                options=TransformOptions(side=32, training_raster=TrainingRaster(side=48, channels=3)), task=task
            ).to_json()
        },
    )
    types = {key: value.dtype.name for key, value in outputs.items()}
    assert types == {
        key: dtype.replace("bytes", "string") for key, (dtype, _) in TRANSFORMED.items() if key not in left_out
    }

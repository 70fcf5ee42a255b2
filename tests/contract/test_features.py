"""The feature table, the schema and the examples name the same keys, with the same types."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import data_validation, features
from components.example_gen import labeling
from components.example_gen.coco import Annotation, ImageRecord
from components.example_gen.image_bytes import CheckedImage
from components.example_gen.records import encode_example
from components.transform.options import TransformOptions
from components.transform.preprocessing import preprocessing_fn

BOX_KEYS = [features.YMIN, features.XMIN, features.YMAX, features.XMAX]
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


@pytest.fixture(scope="module")
def schema():
    path = Path(data_validation.__path__[0]) / "schema.pbtxt"
    return {f.name: f for f in text_format.Parse(path.read_text(), schema_pb2.Schema()).feature}


def test_feature_table_lists_every_key_of_the_module_once():
    constants = {
        value
        for name, value in vars(features).items()
        if name.isupper() and isinstance(value, str) and value.startswith("image/")
    }
    assert set(RAW) == constants
    assert set(TRANSFORMED) == {features.RASTER, features.TRANSFORMED_LABEL, features.TRANSFORMED_SOURCE_ID}


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
    labels = schema[features.LABEL].int_domain
    assert [labels.min, labels.max] == [labeling.NEGATIVE, labeling.POSITIVE]
    assert set(schema[features.FORMAT].string_domain.value) == {"jpeg", "png"}


@pytest.mark.parametrize("objects", [0, 2])
def test_encode_example_writes_exactly_the_raw_features_with_their_types(objects):
    boxes = tuple(Annotation(n, 1, 50.0, (1.0, 2.0, 3.0, 4.0), is_crowd=False) for n in range(objects))
    record = ImageRecord(7, "a/7.jpg", 40, 30, boxes)
    serialized = encode_example(
        record, CheckedImage(b"x", "jpeg", 40, 30, reencoded=False), label=1, label_text="p", largest_object="none"
    )
    written = tf.train.Example.FromString(serialized).features.feature
    assert {key: value.WhichOneof("kind") for key, value in written.items()} == {
        key: KINDS[dtype] for key, (dtype, _) in RAW.items()
    }
    lengths = {key: len(getattr(value, value.WhichOneof("kind")).value) for key, value in written.items()}
    assert lengths == {key: objects if is_list else 1 for key, (_, is_list) in RAW.items()}


def test_preprocessing_fn_gives_exactly_the_transformed_features_with_their_types():
    png = tf.io.encode_png(np.zeros((4, 4, 1), np.uint8))
    outputs = preprocessing_fn(
        {features.ENCODED: png[None], features.LABEL: tf.constant([1], tf.int64), features.SOURCE_ID: ["7"]},
        {"options": TransformOptions(side=32).to_json()},
    )
    types = {key: tf.convert_to_tensor(value).dtype.name for key, value in outputs.items()}
    assert types == {key: dtype.replace("bytes", "string") for key, (dtype, _) in TRANSFORMED.items()}

import json
import sysconfig
from importlib import metadata

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from components.pusher.provenance.sbom import render_sbom

LOCK = "9" * 64


@pytest.fixture
def package(tmp_path):
    """An installed package with the given fields of its METADATA."""

    def make(name, version="1.0", **fields):
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.dist-info"
        folder.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"{key}: {value}" for key, value in fields.items())]
        (folder / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n\n")
        return metadata.Distribution.at(folder)

    return make


def test_sbom_of_this_environment_is_valid_cyclonedx_and_the_same_in_any_order():
    # Without what setuptools brings along and adds to the path, once something imports it.
    packages = list(metadata.distributions(path=[sysconfig.get_path("purelib")]))
    text = render_sbom(packages, LOCK)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None
    assert render_sbom(reversed(packages), LOCK) == text
    listed = {component["name"]: component for component in json.loads(text)["components"]}
    assert listed["numpy"]["purl"] == f"pkg:pypi/numpy@{metadata.version('numpy')}"
    assert len(listed) == len(
        {package.metadata["Name"].lower().replace("_", "-").replace(".", "-") for package in packages}
    )


def test_sbom_of_another_environment_or_lock_has_another_serial_number(package):
    def serial(*arguments):
        return json.loads(render_sbom(*arguments))["serialNumber"]

    serials = {
        serial([package("a")], LOCK), serial([package("a", "2.0")], LOCK), serial([package("a")], None),
    }  # fmt: skip
    assert len(serials) == 3
    assert serial([package("a")], LOCK) in serials


def test_sbom_has_no_time(package):
    assert "timestamp" not in json.loads(render_sbom([package("a")], LOCK))["metadata"]


def test_sbom_package_twice_on_the_path_is_the_one_that_is_imported(package):
    found = json.loads(render_sbom([package("My_Package", "2.0"), package("my.package", "1.0")], None))
    assert [component["purl"] for component in found["components"]] == ["pkg:pypi/my-package@2.0"]


@pytest.mark.parametrize(
    ("fields", "licenses"),
    [
        ({"License-Expression": "MIT OR Apache-2.0"}, [{"expression": "MIT OR Apache-2.0"}]),
        ({"License": "MIT"}, [{"license": {"id": "MIT"}}]),
        ({"License": "Apache 2.0"}, [{"license": {"name": "Apache 2.0"}}]),
        ({"License": "UNKNOWN"}, None),
        ({"License": "Redistribution and use\n        in source and binary forms"}, None),
        ({}, None),
    ],
)
def test_sbom_license_is_what_the_package_says_if_it_is_a_name(package, fields, licenses):
    (component,) = json.loads(render_sbom([package("a", **fields)], None))["components"]
    assert component.get("licenses") == licenses

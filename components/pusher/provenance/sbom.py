"""The software bill of materials: every Python package of the environment that made a release, as CycloneDX."""

import re
import uuid
from collections.abc import Iterable
from importlib import metadata

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from components.pusher.release import Sha256

_NAMESPACE = uuid.UUID("0a6b5a0e-8a8f-5d0f-9d55-3d1c2f7f8e11")
_LICENSE_NAME_LENGTH = 80  # longer ones are the text of a licence, not its name


def render_sbom(packages: Iterable[metadata.Distribution], lock_sha256: Sha256 | None) -> bytes:
    """The packages as CycloneDX 1.6 JSON: equal environments give equal bytes.

    The serial number follows from the content, and no time stands in it.

    Args:
      packages: such as `importlib.metadata.distributions()`; of several of one name the first counts, as in imports.
      lock_sha256: of the lock file that they were installed from; None where that is not known.
    """
    found: dict[str, Component] = {}
    for package in packages:
        name = _normalized(package.metadata["Name"])
        found.setdefault(name, _component(name, package))
    lock = [] if lock_sha256 is None else [Property(name="vww:lock-sha256", value=lock_sha256)]
    bom = Bom(components=found.values())
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the format may go without
    environment = Component(
        type=ComponentType.APPLICATION, name="vww environment", bom_ref="environment", properties=lock
    )
    bom.metadata.component = environment
    bom.register_dependency(environment, found.values())
    bom.serial_number = uuid.uuid5(_NAMESPACE, _render(bom, _NAMESPACE))
    return _render(bom, bom.serial_number).encode()


def _render(bom: Bom, serial_number: uuid.UUID) -> str:
    bom.serial_number = serial_number
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(name: str, package: metadata.Distribution) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=package.version,
        purl=PackageURL("pypi", name=name, version=package.version),
        bom_ref=f"{name}=={package.version}",
        licenses=_licenses(package),
    )


def _licenses(package: metadata.Distribution) -> list[License]:
    """What the package says of itself, where that is a name and not a whole text."""
    stated = package.metadata.json
    name = str(stated.get("license_expression") or stated.get("license") or "").strip()
    if not name or name == "UNKNOWN" or "\n" in name or len(name) > _LICENSE_NAME_LENGTH:
        return []
    return [LicenseFactory().make_from_string(name)]


def _normalized(name: str) -> str:
    """As PyPI writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

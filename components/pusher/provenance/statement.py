"""The provenance statement: in-toto Statement v1 with a SLSA Provenance v1 predicate, in `provenance.json`.

    subject                  every file of the release by sha256, the manifest, the model card and the SBOM among them
    predicate
      buildDefinition        which config, what the Tuner chose, and every material by its digest
      runDetails             which run, when, by which version of vww

Sources: https://in-toto.io/Statement/v1, https://slsa.dev/spec/v1.0/provenance. The two `vww…` digests are no hashes
of a file: `vwwExampleSum` and `vwwSplitSum` add up SHA-256 over examples, and over image ids with their splits, in
any order (`components.dataset`).
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.pusher.manifest import Manifest
from components.pusher.release import CONFIG_NAME, FileDigest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:vww:pipeline:v1"
BUILDER_ID = "urn:vww:micro-pusher"


class _Subject(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    digest: dict[str, str]


class Statement(BaseModel):
    """As much of a statement as is held against a release; what else a statement may hold is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = Field(alias="predicateType")
    subject: tuple[_Subject, ...]

    @property
    def digests(self) -> dict[str, str | None]:
        """SHA-256 of every subject by its name."""
        return {subject.name: subject.digest.get("sha256") for subject in self.subject}


def render_statement(manifest: Manifest, beside: Mapping[str, FileDigest]) -> bytes:
    """The statement about a release; equal arguments give equal bytes.

    Args:
      manifest: of the release.
      beside: the files beside the payload by their names: the manifest, the model card and the SBOM.
    """
    subjects = {**manifest.files, **beside}
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subjects[name].sha256}} for name in sorted(subjects)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"buildDefinition": _build_definition(manifest), "runDetails": _run_details(manifest)},
    }
    return (json.dumps(statement, indent=2, sort_keys=True) + "\n").encode()


def parse_statement(content: bytes) -> Statement | None:
    """The typed form of a `provenance.json`; None if it is none."""
    try:
        return Statement.model_validate_json(content)
    except ValidationError:
        return None


def _build_definition(manifest: Manifest) -> dict[str, Any]:
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "model": manifest.model,
            "config": {"name": CONFIG_NAME, "digest": {"sha256": manifest.files[CONFIG_NAME].sha256}},
        },
        "internalParameters": {"tuned": manifest.tuned},
        "resolvedDependencies": _materials(manifest),
    }


def _materials(manifest: Manifest) -> list[dict[str, Any]]:
    """What the release was made from; what there was not is left out."""
    code, dataset, rule = manifest.code, manifest.dataset, manifest.label_rule
    materials: list[dict[str, Any]] = [
        {
            "name": "dataset",
            "digest": {"vwwExampleSum": dataset.digest},
            "annotations": {"fingerprint": dataset.fingerprint, "images": dataset.images},
        },
        {"name": "split", "digest": {"vwwSplitSum": dataset.split_digest}},
        {
            "name": "label-rule",
            "digest": {"sha256": rule.digest},
            "annotations": {"id": rule.id, "version": rule.version},
        },
        {"name": "calibration", "digest": {"sha256": manifest.calibration.digest}},
    ]
    if code.commit is not None:
        where = {} if code.repository is None else {"uri": f"git+{code.repository}@{code.commit}"}
        about = {"dirty": code.dirty, "version": code.version}
        materials.append({"name": "code", **where, "digest": {"gitCommit": code.commit}, "annotations": about})
    if code.lock_sha256 is not None:
        materials.append({"name": "uv.lock", "digest": {"sha256": code.lock_sha256}})
    if manifest.initial_weights_sha256 is not None:
        materials.append({"name": "initial-weights", "digest": {"sha256": manifest.initial_weights_sha256}})
    if manifest.baseline is not None:
        materials.append({"name": "baseline", "digest": {"vwwRelease": manifest.baseline}})
    return materials


def _run_details(manifest: Manifest) -> dict[str, Any]:
    return {
        "builder": {"id": BUILDER_ID, "version": {"vww": manifest.code.version, **manifest.stack}},
        "metadata": {
            "invocationId": manifest.run.pipeline_run_id,
            "startedOn": manifest.run.started_utc,
            "finishedOn": manifest.created_utc,
        },
    }

"""The manifest: what a release is, how it was made, and what was measured on it.

It stands as `manifest.json` at the root of every release and is the one file that the version's digest leaves out.
"""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from components.drift import FeatureDrift
from components.errors import ReleaseError
from components.options import Options
from components.pusher.figures import Figures
from components.pusher.release import (
    ENVELOPE_NAME,
    MANIFEST_NAME,
    SIDE_FILES,
    FileDigest,
    PayloadPath,
    Sha256,
    find_differences,
    release_version,
)
from components.pusher.sealed import check_seal, read_fields, render_sealed
from components.quantization.contracts import TensorContract
from components.quantization.records import ArenaShare, OpUse
from components.verdicts import Gate

FORMAT_VERSION = 4

_DAMAGED = "the manifest was edited or is damaged; use another release, or remove this one and publish it again"

Count = Annotated[int, Field(ge=0)]
UtcTime = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class LabelRuleId(Options):
    """Which label rule was applied, by name, version and digest of its definition, and what it asks in words."""

    id: str
    version: int
    digest: Sha256
    in_words: str


class DatasetRecord(Options):
    """The examples that the model was made from.

    Attributes:
      digest: of the labelled examples in all splits.
      fingerprint: of the input files that they were read from.
      images: number of examples, by split and label.
      quarantined: number of bad records left out, by reason.
      dropped: number of good images left out on purpose, by reason.
      split_digest: of which image is in which split.
      licenses: of the images and annotations, as the config states them.
    """

    digest: str
    fingerprint: str
    images: dict[str, dict[str, Count]]
    quarantined: dict[str, Count]
    dropped: dict[str, Count]
    split_digest: Sha256
    licenses: tuple[str, ...]


class Footprint(Options):
    """What the model asks of a device.

    Attributes:
      flatbuffer_bytes: flash for the model: the slim file, and the C array.
      portable_bytes: of the same model's file for LiteRT.
      arena_total_bytes: tensor arena under TFLite Micro's reference kernels on the 64-bit host.
      arena_head_bytes: the part of it for activations and scratch buffers.
      arena_tail_bytes: the part of it for tensor structures and the kernels' own data.
      arena_shares: of that tail, by kind of allocation.
      macs: multiply-accumulates of one inference.
      ops: operators that the interpreter has to know.
    """

    flatbuffer_bytes: Count
    portable_bytes: Count
    arena_total_bytes: Count
    arena_head_bytes: Count
    arena_tail_bytes: Count
    arena_shares: tuple[ArenaShare, ...]
    macs: Count
    ops: tuple[OpUse, ...]


class ParityRecord(Options):
    """How TFLite Micro's outputs compared with the reference interpreter's, as `quantization.compare.Parity`."""

    images: Count
    differing: Count
    max_difference_lsb: Count


class SlimmingRecord(Options):
    """The slim file against the one it was made from, bit by bit under TFLite Micro, on images of the eval split.

    Attributes:
      images: how many both were fed.
      operators: how many operators' outputs were compared, on each of them.
      differing: for how many images an answer or an operator's output differs.
    """

    images: Count
    operators: Count
    differing: Count


class CalibrationRecord(Options):
    """The training images that the converter saw.

    Attributes:
      seed: that they were drawn with.
      count: how many there are.
      source_ids: their image ids, in the order in which they were fed.
      digest: of the pixels and their order.
    """

    seed: int
    count: Count
    source_ids: tuple[str, ...]
    digest: Sha256

    @model_validator(mode="after")
    def _count_matches(self) -> Self:
        if self.count != len(self.source_ids):
            raise ValueError(f"count: expected {len(self.source_ids)}, the number of source_ids, received {self.count}")
        return self


class GoldenRecord(Options):
    """The images of the golden vectors, which `components.quantization.golden` describes.

    Attributes:
      flatbuffer: the file of the release that gave the answers.
      source_ids: image ids, in the order of the vectors.
      labels: label ids of these images; what they show, not what the model answers.
    """

    flatbuffer: PayloadPath
    source_ids: tuple[str, ...]
    labels: tuple[Count, ...]


class CodeRecord(Options):
    """The code that made the release.

    Attributes:
      version: of the `vww` package.
      commit: of the working copy; None where the code was no git checkout.
      dirty: whether the working copy had uncommitted changes; None where that is not known.
      repository: where the working copy was cloned from; None where that is no web address.
      lock_sha256: of the working copy's `uv.lock`; None where the code was no checkout.
    """

    version: str
    commit: str | None
    dirty: bool | None
    repository: str | None
    lock_sha256: Sha256 | None


class RunRecord(Options):
    """The pipeline run that made the release.

    Attributes:
      pipeline_run_id: its id, in ML Metadata too.
      root: folder of everything that it wrote.
      started_utc: when it began, such as `2026-11-22T03:04:05Z`.
    """

    pipeline_run_id: str
    root: str
    started_utc: UtcTime


class Manifest(Options):
    """Everything that is known about one release.

    Attributes:
      format_version: of this record; another number is refused by name.
      model: folder of the release, such as `vww_mobilenet_v1_025_96_gray`.
      version: `release_version(files)`.
      created_utc: time of the conversion, such as `2026-11-22T03:04:05Z`.
      files: every file of the payload.
      labels: one per output, in output order.
      label_rule: which rule decided the labels.
      positive: the label that the others are the rest of; None where no label is special.
      dataset: what the model was made from.
      drift: of its train split from that of the baseline; empty for the first release.
      input: tensor contract of the image.
      outputs: tensor contracts of a classifier's scores, or of a detector's outputs in the flatbuffer's order.
      pixel_contract: the rule from camera byte to input code, in words.
      figures: of the float model, of the int8 file that ships, and from the one to the other.
      gates: every gate on the data, the float and the int8 model, with limit and value.
      footprint: what the model asks of a device.
      parity: TFLite Micro against the reference interpreter.
      slimming: the slim file against the one it was made from.
      golden: the images of the golden vectors.
      calibration: the images that the converter saw.
      stack: package to version.
      code: the code that made the release.
      run: the pipeline run that made the release.
      baseline: version of the release that the candidate was compared with; None for the first.
      initial_weights_sha256: of the weights that training started from; None where they were random.
      tuned: what the Tuner chose, by config path; None where nothing was searched.
      signing_key_id: of the key that signed the release; None where it is not signed.
    """

    format_version: int = FORMAT_VERSION
    model: str
    version: str
    created_utc: UtcTime
    files: dict[PayloadPath, FileDigest]
    labels: tuple[str, ...]
    label_rule: LabelRuleId
    positive: str | None
    dataset: DatasetRecord
    drift: tuple[FeatureDrift, ...]
    input: TensorContract
    outputs: tuple[TensorContract, ...]
    pixel_contract: str
    figures: Figures
    gates: tuple[Gate, ...]
    footprint: Footprint
    parity: ParityRecord
    slimming: SlimmingRecord
    golden: GoldenRecord
    calibration: CalibrationRecord
    stack: dict[str, str]
    code: CodeRecord
    run: RunRecord
    baseline: str | None
    initial_weights_sha256: Sha256 | None
    tuned: dict[str, JsonValue] | None
    signing_key_id: Sha256 | None

    @property
    def payload_bytes(self) -> int:
        """Size of all files of the payload."""
        return sum(digest.size_bytes for digest in self.files.values())

    @property
    def side_files(self) -> tuple[str, ...]:
        """The files beside the payload that this release has, the manifest left out."""
        return tuple(name for name in SIDE_FILES if name != ENVELOPE_NAME or self.signing_key_id is not None)

    def to_json(self) -> str:
        """The text of `manifest.json`: equal manifests are equal files, and each holds a digest of itself."""
        return render_sealed(self.model_dump(mode="json"))


def parse_manifest(text: str, source: str) -> Manifest:
    """The typed form of a `manifest.json`.

    Args:
      text: its content.
      source: where it was read from, for the message.

    Raises:
      ReleaseError: if it is no JSON, of another format version, not what a manifest holds, or edited.
    """
    fields = read_fields(text, source, format_version=FORMAT_VERSION, hint=_DAMAGED)
    try:
        manifest = Manifest.model_validate_json(json.dumps(fields))
        written = manifest.to_json()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReleaseError(
            f"{source} is not what a manifest holds: {where}: {first['msg']}",
            hint=_DAMAGED,
        ) from error
    except ValueError as error:  # a number that JSON does not know, such as 1e999
        raise ReleaseError(f"{source} is not what a manifest holds: {error}", hint=_DAMAGED) from error
    check_seal(text, written, source, hint=_DAMAGED)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a release folder on disk; raises ReleaseError like `parse_manifest`, OSError if it is missing."""
    path = folder / MANIFEST_NAME
    return parse_manifest(path.read_text(encoding="utf-8", errors="replace"), str(path))


def find_problems(manifest: Manifest, model: str, version: str, found: dict[str, FileDigest]) -> list[str]:
    """What is wrong with a release of this manifest in the place `<model>/<version>`, where `found` lies.

    Returns:
      One sentence for every problem; empty where all is well.
    """
    problems = find_differences(manifest.files, found)
    if (manifest.model, manifest.version) != (model, version):
        problems.append(f"the manifest is that of {manifest.model}/{manifest.version}")
    if release_version(manifest.files) != version:
        problems.append(f"the manifest's files make version {release_version(manifest.files)}")
    return problems

"""What a detector's release says of its anchors and its decoder, whatever else its config holds."""

import json
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from components.detection.options import DecoderOptions, DetectorNetwork, DetectorOptions
from components.errors import ReleaseError
from components.options import Options
from components.pusher.manifest import CodeRecord
from components.pusher.release import CONFIG_NAME
from components.trainer.options import Backbone
from components.yaml_text import parse_yaml_text


class ReleasedNetwork(NamedTuple):
    """The parts of a release's config by which its outputs become detections."""

    backbone: Backbone
    network: DetectorNetwork
    decoder: DecoderOptions


class _Stated(Options):
    backbone: Backbone
    detector: DetectorOptions
    decoder: DecoderOptions


def read_network(folder: Path, code: CodeRecord) -> ReleasedNetwork:
    """Reads these parts of `config.yaml`, and no other: an earlier version of vww knew other keys elsewhere.

    Args:
      folder: of the release.
      code: that made it.

    Raises:
      ReleaseError: if they are not there, or not as this version of vww reads them.
    """
    path = folder / CONFIG_NAME
    try:
        tree = parse_yaml_text(path.read_text(encoding="utf-8"))
        parts = {
            "backbone": tree["trainer"]["backbone"],
            "detector": tree["trainer"]["detector"],
            "decoder": tree["release"]["decoder"],
        }
        stated = _Stated.model_validate_json(json.dumps(parts, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        raise _unread(path, code, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise _unread(path, code, f"{type(error).__name__}: {error}") from error
    return ReleasedNetwork(stated.backbone, stated.detector.network, stated.decoder)


def _unread(path: Path, code: CodeRecord, reason: str) -> ReleaseError:
    made_by = f"vww {code.version}"
    commit = "" if code.commit is None else f", commit {code.commit[:12]}"
    return ReleaseError(
        f"{path} was written by {made_by}{commit}, and this version cannot read its detector: {reason}",
        expected="trainer.backbone, trainer.detector and release.decoder as this version writes them",
        hint="predict with the version that made the release, or run its config anew",
    )

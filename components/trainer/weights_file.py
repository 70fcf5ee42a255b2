"""Where initial weights come from: found, brought here, hashed and recognized, without TensorFlow.

`vww run` looks at them before anything runs, and the Trainer again before it loads them: the digest of the first look
is part of the Trainer's cache key, and the second has to find the same bytes.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import requests

from components.errors import ConfigError, ModelError
from components.trainer.options import IMAGENET, Backbone, TrainerOptions

_KEY = "trainer.initial_weights"
_APPLICATIONS = "https://storage.googleapis.com/tensorflow/keras-applications"
# Sides that keras.applications has weights for; v2 wider than 1.0 at 224 only (slim, nets/mobilenet/README.md).
_IMAGENET_SIDES: dict[Backbone, tuple[int, ...]] = {
    "mobilenet_v1": (128, 160, 192, 224),
    "mobilenet_v2": (96, 128, 160, 192, 224),
}
_V1_ALPHAS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = (10.0, 60.0)  # to connect, and between two chunks
_KINDS = "an HDF5 file (.h5), a .keras file or the folder of a SavedModel"


class WeightsFormat(StrEnum):
    """What holds the weights, told by content and not by name."""

    HDF5 = "hdf5"
    KERAS = "keras"
    SAVED_MODEL = "saved_model"


def imagenet_url(backbone: Backbone, alpha: float, side: int) -> str:
    """The address of keras.applications' ImageNet weights without their classifier.

    Source: keras/src/applications/mobilenet.py and mobilenet_v2.py. Of the sides that they were trained at, the
    smallest that is not below `side`, else 224.
    """
    sides = (224,) if alpha > 1 else _IMAGENET_SIDES[backbone]
    rows = next((published for published in sides if published >= side), sides[-1])
    if backbone == "mobilenet_v1":
        return f"{_APPLICATIONS}/mobilenet/mobilenet_{_V1_ALPHAS[alpha]}_{rows}_tf_no_top.h5"
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{rows}_no_top.h5"
    return f"{_APPLICATIONS}/mobilenet_v2/{name}"


def weights_location(options: TrainerOptions, side: int) -> str | None:
    """The path or URL that the options mean; None where training starts from random weights."""
    if options.initial_weights == IMAGENET:
        return imagenet_url(options.backbone, options.alpha, side)
    return options.initial_weights


def fingerprint_weights(options: TrainerOptions, side: int) -> str | None:
    """SHA-256 of the initial weights' bytes, None where there are none.

    A URL is downloaded for it, and again by the Trainer, which may run on another machine.

    Raises:
      ConfigError: where nothing is there.
      ModelError: where what is there cannot be weights.
    """
    location = weights_location(options, side)
    if location is None:
        return None
    with local_weights(location) as path:
        detect_format(path, location)
        return hash_weights(path)


@contextmanager
def local_weights(location: str) -> Iterator[Path]:
    """The weights as a local file or folder, a download for as long as the context lasts.

    Args:
      location: a path, or an address with `https://`, `http://` or `gs://`.

    Raises:
      ConfigError: if the path does not exist, or another scheme was asked for.
      ModelError: if the download fails.
    """
    scheme, separator, _ = location.partition("://")
    if not separator:
        path = Path(location)
        if not path.exists():
            raise ConfigError(
                f"{_KEY}: {location} does not exist", expected=_KINDS, hint="a relative path starts where vww runs"
            )
        yield path
        return
    if scheme not in {"https", "http", "gs"}:
        raise ConfigError(f"{_KEY}: received {location}", expected="a path, https://… or gs://bucket/object")
    with tempfile.TemporaryDirectory(prefix="vww-weights-") as folder:
        path = Path(folder) / "weights"
        _download(location, path)
        yield path


def _download(location: str, path: Path) -> None:
    try:
        if location.startswith("gs://"):
            from google.cloud.storage import Client

            bucket, _, name = location.removeprefix("gs://").partition("/")
            Client(project=None).bucket(bucket).blob(name).download_to_filename(str(path))
        else:
            with requests.get(location, stream=True, timeout=_TIMEOUT_S) as response:
                response.raise_for_status()
                with path.open("wb") as file:
                    for chunk in response.iter_content(_CHUNK_BYTES):
                        file.write(chunk)
    # requests' and Google's errors have no common class below Exception; whichever it was, nothing came.
    except Exception as error:
        raise ModelError(
            f"{_KEY}: {location} cannot be downloaded: {' '.join(str(error).split())[:300]}",
            expected="an address that answers with the file itself",
            hint=f"download it where there is a network, and pass its path: --set {_KEY}=FILE",
        ) from error


def hash_weights(path: Path) -> str:
    """SHA-256 of a file, or of a folder's relative paths and contents."""
    digest = hashlib.sha256()
    if path.is_file():
        _hash_into(digest, path)
        return digest.hexdigest()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        inner = hashlib.sha256()
        _hash_into(inner, file)
        digest.update(f"{file.relative_to(path).as_posix()}\0{inner.hexdigest()}\n".encode())
    return digest.hexdigest()


def _hash_into(digest: "hashlib._Hash", path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)


def released_labels(path: Path) -> tuple[str, ...] | None:
    """The names of a release's labels, by the manifest beside its SavedModel; None of anything else.

    Args:
      path: the local file or folder of the weights.
    """
    manifest = path.parent / "manifest.json"
    if not (path.is_dir() and manifest.is_file()):
        return None
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:  # some other program's
        return None
    labels = found.get("labels") if isinstance(found, dict) else None
    is_ours = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    return tuple(labels) if is_ours and labels else None


def detect_format(path: Path, location: str) -> WeightsFormat:
    """Tells by the first bytes what holds the weights.

    Args:
      path: the local file or folder.
      location: how the user named it, for errors.

    Raises:
      ModelError: if it is empty, a web page or anything else.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return WeightsFormat.SAVED_MODEL
        raise ModelError(f"{_KEY}: {location} is a folder without saved_model.pb", expected=_KINDS)
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return WeightsFormat.HDF5
    if start.startswith(b"PK\x03\x04"):
        return WeightsFormat.KERAS
    if not start:
        hint = "the file is empty; copy or download it again"
    elif start.lstrip().startswith(b"<"):
        hint = "this is a web page; take the link behind its download button (on GitHub: raw)"
    elif start[4:8] == b"TFL3":
        hint = "this is a TensorFlow Lite file, whose kernels are folded; pass the model that it was converted from"
    elif start.startswith(b"version https://git-lfs"):
        hint = "this is a Git LFS pointer; run git lfs pull"
    else:
        hint = "PyTorch, TF1 checkpoints and ONNX are not read; export to Keras first"
    raise ModelError(
        f"{_KEY}: {location} holds no weights: received {path.stat().st_size:,} bytes that start with {start[:16]!r}",
        expected=_KINDS,
        hint=hint,
    )

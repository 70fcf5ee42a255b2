"""Makes a release's flatbuffers and C array again, from the SavedModel and the calibration images that it keeps."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.pusher.calibration import CALIBRATION_NAME, convert_calibrated, decode_calibration
from components.pusher.manifest import Manifest, read_manifest
from components.pusher.provenance.identify import read_c_arrays
from components.pusher.rebuilt import OtherVersion, Rebuild, RebuildRequest, RebuiltFile
from components.quantization.flatbuffer_records import unpack_model
from components.quantization.slim import slim_flatbuffer

_ARRAY_SUFFIX = "_model_data.cc"


def rebuild_release(request: RebuildRequest) -> Rebuild:
    """Converts and slims a release's SavedModel again, and compares with what it holds. Imports TensorFlow.

    Raises:
      ModelError: if the SavedModel cannot be converted.
      ReleaseError: if the manifest or the calibration images cannot be read.
    """
    folder = Path(request.folder)
    manifest = read_manifest(folder)
    rasters = decode_calibration((folder / CALIBRATION_NAME).read_bytes(), manifest.calibration)
    portable = convert_calibrated(folder / "saved_model", rasters)
    slim = slim_flatbuffer(portable).flatbuffer
    (array,) = (path for path in manifest.files if path.endswith(_ARRAY_SUFFIX))
    name = array.removesuffix(_ARRAY_SUFFIX)
    (released_array,) = read_c_arrays((folder / array).read_bytes())
    pairs = (
        (f"{name}.tflite", (folder / f"{name}.tflite").read_bytes(), portable),
        (f"{name}_micro.tflite", (folder / f"{name}_micro.tflite").read_bytes(), slim),
        (array, released_array, slim),
    )
    return Rebuild(
        files=tuple(
            RebuiltFile(
                path=path,
                released_bytes=len(released),
                rebuilt_bytes=len(rebuilt),
                differences=tuple(find_differences_of(released, rebuilt)),
            )
            for path, released, rebuilt in pairs
        ),
        other_versions=_other_versions(manifest),
    )


def _other_versions(manifest: Manifest) -> tuple[OtherVersion, ...]:
    here = {package: _installed(package) for package in sorted(manifest.stack)}
    return tuple(
        OtherVersion(package=package, released=manifest.stack[package], here=version)
        for package, version in here.items()
        if version != manifest.stack[package]
    )


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def find_differences_of(released: bytes, rebuilt: bytes) -> list[str]:
    """How two flatbuffers differ: at which bytes, and in which tensors where their graphs are alike."""
    if released == rebuilt:
        return []
    if len(released) == len(rebuilt):
        places = np.flatnonzero(np.frombuffer(released, np.uint8) != np.frombuffer(rebuilt, np.uint8))
        found = [f"{len(places):,} bytes differ, the first at {places[0]:,}"]
    else:
        found = [f"{len(released):,} bytes were released, {len(rebuilt):,} rebuilt"]
    ours, theirs = _contents(released), _contents(rebuilt)
    if len(ours) != len(theirs):
        return [*found, f"{len(ours)} tensors were released, {len(theirs)} rebuilt"]
    for part in ours[0]:
        indices = [index for index, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0][part] != pair[1][part]]
        if indices:
            found.append(f"{part} of {len(indices)} of {len(ours)} tensors, the first of them tensor {indices[0]}")
    return found


def _contents(flatbuffer: bytes) -> list[dict[str, bytes]]:
    """What each tensor of the main subgraph holds."""
    model = unpack_model(flatbuffer)
    return [
        {
            "scales": _bytes(tensor.quantization and tensor.quantization.scale),
            "zero points": _bytes(tensor.quantization and tensor.quantization.zeroPoint),
            "constants": _bytes(model.buffers[tensor.buffer].data),
        }
        for tensor in model.subgraphs[0].tensors
    ]


def _bytes(vector: npt.NDArray[Any] | None) -> bytes:
    return b"" if vector is None else np.asarray(vector).tobytes()

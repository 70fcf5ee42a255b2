"""Digest of the code behind a stage, so that a cached result is never one of older code.

TFX's cache looks at a node's inputs and exec properties, not at its code; this digest is one of them.
"""

import hashlib
from importlib import metadata
from pathlib import Path

_COMPONENTS = Path(__file__).parent
_STACK = (
    "apache-beam",
    "faster-coco-eval",
    "keras",
    "keras-tuner",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tfx",
    "tflite-micro",
    "ai-edge-litert",
)


def code_digest(*stages: str) -> str:
    """SHA-256 over the sources of `stages`, of what all stages share, and the versions of the stack.

    Args:
      stages: folders below `components/`, such as `trainer`.

    Raises:
      ValueError: if one does not exist, since its digest would never change.
    """
    if missing := [stage for stage in stages if not (_COMPONENTS / stage).is_dir()]:
        raise ValueError(f"no such stage: {', '.join(missing)}")
    files = [
        *_COMPONENTS.glob("*.py"),
        *(f for stage in stages for f in (_COMPONENTS / stage).rglob("*") if f.is_file()),
    ]
    digest = hashlib.sha256()
    for file in sorted(f for f in files if "__pycache__" not in f.parts):
        digest.update(f"{file.relative_to(_COMPONENTS)}\0".encode() + file.read_bytes() + b"\0")
    for package in _STACK:
        digest.update(f"{package}=={metadata.version(package)}\0".encode())
    return digest.hexdigest()

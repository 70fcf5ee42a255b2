"""Which code runs: the package, the checkout that it runs from or that its image was built from, and its lock file."""

import hashlib
import re
import subprocess
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from components.errors import ConfigError
from components.pusher.options import CodeVersion

LOCK_FILE = "uv.lock"
# In an image, which has no checkout: what its build knew of the one it was made from.
IMAGE_FILE = "code_version.json"
_ROOT = Path(__file__).resolve().parents[2]
# `https://user:token@host/path`, `ssh://git@host/path` and git's short form `git@host:path`.
_WEB_ADDRESS = re.compile(r"(?P<scheme>https?|ssh|git)://(?:[^@/]*@)?(?P<rest>.+)")
_SHORT_ADDRESS = re.compile(r"(?:[\w.-]+@)(?P<host>[\w.-]+):(?P<path>[^/].*)")


def code_version(root: Path = _ROOT) -> CodeVersion:
    """The package's version, and the commit, origin and lock file of the checkout behind it.

    Args:
      root: of the checkout, or the folder of an image that has `code_version.json` beside the packages.

    Raises:
      ConfigError: if that file is not what an image's build writes.
    """
    version = metadata.version("vww")
    if not (root / ".git").exists():
        if (root / IMAGE_FILE).is_file():
            return _of_image(root / IMAGE_FILE)
        return CodeVersion(version=version, commit=None, dirty=None, repository=None, lock_sha256=None)
    status = _git(root, "status", "--porcelain")
    origin = _git(root, "config", "--get", "remote.origin.url")
    lock = root / LOCK_FILE
    return CodeVersion(
        version=version,
        commit=_git(root, "rev-parse", "HEAD"),
        dirty=None if status is None else bool(status),
        repository=None if origin is None else public_address(origin),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
    )


def _of_image(path: Path) -> CodeVersion:
    try:
        return CodeVersion.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{path} does not say which code the image was built from: {error}",
            expected=f"a JSON object with {', '.join(CodeVersion.model_fields)}",
            hint="build the image with docker/build, which writes it",
        ) from error


def public_address(origin: str) -> str | None:
    """Where a checkout was cloned from, without user name or token; None for a path of this machine."""
    if found := _WEB_ADDRESS.fullmatch(origin):
        return f"{found['scheme']}://{found['rest']}"
    if found := _SHORT_ADDRESS.fullmatch(origin):
        return f"ssh://{found['host']}/{found['path']}"
    return None


def _git(root: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()

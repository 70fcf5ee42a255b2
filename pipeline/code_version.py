"""Which code runs: the package, the checkout that it runs from, and the lock file of that checkout."""

import hashlib
import re
import subprocess
from importlib import metadata
from pathlib import Path

from components.pusher.options import CodeVersion

LOCK_FILE = "uv.lock"
# `https://user:token@host/path`, `ssh://git@host/path` and git's short form `git@host:path`.
_WEB_ADDRESS = re.compile(r"(?P<scheme>https?|ssh|git)://(?:[^@/]*@)?(?P<rest>.+)")
_SHORT_ADDRESS = re.compile(r"(?:[\w.-]+@)(?P<host>[\w.-]+):(?P<path>[^/].*)")


def code_version() -> CodeVersion:
    """The package's version, and the commit, origin and lock file of the checkout that it runs from."""
    root = Path(__file__).resolve().parent.parent
    version = metadata.version("vww")
    if not (root / ".git").exists():
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

"""Writes what an image says of the code in it: `code_version.py COMMIT DIRTY REPOSITORY`, each empty where unknown."""

import hashlib
import json
import sys
import tomllib
from pathlib import Path

commit, dirty, repository = (argument or None for argument in sys.argv[1:])
project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
print(  # noqa: T201  # the program's output
    json.dumps(
        {
            "version": project["version"],
            "commit": commit,
            "dirty": None if dirty is None else dirty == "true",
            "repository": repository,
            "lock_sha256": hashlib.sha256(Path("uv.lock").read_bytes()).hexdigest(),
        }
    )
)

"""From a grid to what has to run: where each point writes, and the key that its result is kept by."""

import hashlib
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from components.code_digest import code_digest
from components.errors import StorageError
from components.example_gen.plan import DatasetPlan
from components.pusher.durable_files import STAGING_PREFIX, storage_errors
from components.trainer.weights_file import fingerprint_weights, weights_location
from pipeline.anchors import check_anchors
from pipeline.config import RunConfig
from pipeline.refusals import check_plan
from pipeline.sweep.grid import Point

METADATA_FILE = "metadata.sqlite"
_STAGES = ("data_validation", "detection", "evaluator", "example_gen", "pusher", "quantization", "trainer", "transform")
_PIPELINE_FILES = ("gates.py", "graph.py")
_MAX_SLUG = 80  # characters; a file name has room for 255


@dataclass(frozen=True)
class PlannedPoint:
    """A point, and all that decides its result.

    Attributes:
      point: of the grid.
      key: digest of config, data, initial weights and code.
      folder: its own run.root; another key has another folder.
      data: what a run makes of its data.
      initial_weights_sha256: of the weights that training starts from; None where they are random.
    """

    point: Point
    key: str
    folder: Path
    data: DatasetPlan
    initial_weights_sha256: str | None

    @property
    def config(self) -> RunConfig:
        """The point's config with a root, and so a release store, of its own."""
        return rooted(self.point.config, self.folder)

    @property
    def data_identity(self) -> str:
        """Equal for points that share the nodes before the Trainer."""
        return f"{self.config.data.to_json()}{self.config.transform.to_json()}{self.data.fingerprint}"


def rooted(config: RunConfig, folder: Path) -> RunConfig:
    """The same config, writing below another folder, into a store of its own, which nobody has to trust."""
    return config.model_copy(
        update={
            "run": config.run.model_copy(update={"root": str(folder)}),
            "release": config.release.model_copy(update={"uri": None, "signing_key": None, "trusted_keys": ()}),
        }
    )


def plan_points(
    points: Sequence[Point], folder: Path, look_at_data: Callable[[RunConfig], DatasetPlan]
) -> list[PlannedPoint]:
    """Looks at the data and the initial weights, once for all points that share them.

    Args:
      points: of the grid.
      folder: of the sweep.
      look_at_data: plans the data of a config.

    Raises:
      VwwError: if data or weights cannot be used, or a point's gates cannot be passed on its data.
    """
    code = _code_digest()
    plans: dict[str, DatasetPlan] = {}
    weights: dict[str | None, str | None] = {}
    planned = []
    for point in points:
        config = point.config
        location = weights_location(config.trainer, config.transform.side)
        if location not in weights:
            weights[location] = fingerprint_weights(config.trainer, config.transform.side)
        of_data = config.data.to_json()
        if of_data not in plans:
            plans[of_data] = look_at_data(config)
        check_plan(config, plans[of_data])
        if config.trainer.detector is not None:
            check_anchors(config, config.trainer.detector, plans[of_data])
        texts = (point.identity, plans[of_data].fingerprint, str(weights[location]), code)
        key = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        slug = re.sub(r"[^A-Za-z0-9.=_]+", "-", point.label).strip("-")[:_MAX_SLUG]
        planned.append(PlannedPoint(point, key, folder / f"{slug}-{key[:8]}", plans[of_data], weights[location]))
    return planned


def _code_digest() -> str:
    digest = hashlib.sha256(code_digest(*_STAGES).encode())
    for name in _PIPELINE_FILES:
        digest.update((Path(__file__).parents[1] / name).read_bytes())
    return digest.hexdigest()


def copy_metadata(source: Path, target: Path) -> None:
    """Copies ML Metadata's database, at once or not at all, so that its artifacts are found from another root.

    Args:
      source: a database; another process may be writing it.
      target: a file that is not there yet; its folder is made.

    Raises:
      StorageError: if the copy cannot be written.
    """
    staging = target.with_name(f"{STAGING_PREFIX}{target.name}")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.unlink(missing_ok=True)
        try:
            with (
                closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as read,
                closing(sqlite3.connect(staging)) as written,
            ):
                read.backup(written)
        except sqlite3.Error as error:
            staging.unlink(missing_ok=True)
            raise StorageError(
                f"{source} cannot be copied to {target}: {error}",
                hint="make room, or write elsewhere with --set run.root=DIR",
            ) from error
        staging.replace(target)

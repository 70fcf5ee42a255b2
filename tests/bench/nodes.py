"""Nodes of the real graph, run as the pipeline runs them."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIG = "pipeline/configs/vww_mobilenet_v1_025_96_gray.yaml"
_OUTPUT = {"CocoExampleGen": "examples", "Transform": "transformed_examples"}


def run_node(
    node: str,
    annotations: Path,
    images: Path,
    root: Path,
    *,
    measure: Callable[[Callable[[], Any]], float],
    workers: int = 1,
) -> tuple[float, str]:
    """Launches every node before `node`, then `node` itself under `measure`.

    Returns:
      What `measure` gave, and the folder of the node's output.
    """
    from components.pusher.options import CodeVersion
    from pipeline.config import read_config
    from pipeline.graph import RunFacts, create_pipeline
    from pipeline.local import LocalRunner

    settings = [f"data.annotations={annotations}", f"data.images={images}", f"run.root={root}"]
    config = read_config(CONFIG, [*settings, f"beam.workers={workers}"])
    # A fingerprint that no earlier round had, so that the measured node is not reused from a cache.
    fingerprint = f"{time.time_ns()}"
    facts = RunFacts(
        run_id=fingerprint,
        dataset_fingerprint=fingerprint,
        released_version=None,
        code=CodeVersion(version="bench", commit=None, dirty=None, repository=None, lock_sha256=None),
        started_utc="2026-11-22T03:04:05Z",
        label_names=("not-person", "person"),
    )
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    runner = LocalRunner(create_pipeline(config, facts), fingerprint)
    for earlier in runner.nodes[: runner.nodes.index(node)]:
        if earlier in {"CocoExampleGen", "CuratedSchema"}:
            runner.launch(earlier)
    seconds = measure(lambda: runner.launch(node))
    return seconds, runner.output_uri(node, _OUTPUT[node])

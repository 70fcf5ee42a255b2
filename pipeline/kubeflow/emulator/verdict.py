"""What the MicroPusher of an emulated run decided."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.pusher.outcome import OUTCOME_FILE, Outcome
from pipeline.config import RunConfig, parse_yaml
from pipeline.kubeflow.emulator.records import PusherVerdict

_PUSHER = "MicroPusher"


def read_verdict(pipeline: Any, artifacts: Mapping[str, Mapping[str, Path]]) -> PusherVerdict | None:
    """The verdict; None where there is no MicroPusher.

    Args:
      pipeline: PipelineSpec.
      artifacts: where each output lies, by task and key.
    """
    if _PUSHER not in artifacts:
        return None
    job = pipeline.root.dag.tasks[_PUSHER].inputs.parameters["job"].runtime_value.constant.string_value
    tree = parse_yaml(json.loads(job)["config_yaml"], _PUSHER)
    return PusherVerdict(
        config=RunConfig.model_validate_json(json.dumps(tree, default=str)),
        outcome=Outcome.from_json((artifacts[_PUSHER]["pushed_model"] / OUTCOME_FILE).read_text(encoding="utf-8")),
    )

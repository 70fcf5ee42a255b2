"""Within an image: imports what every step runs, and cuts out one step: `verify_steps.py PIPELINE ONE_STEP`."""

import importlib
import sys
from pathlib import Path

import yaml

STEP = "CuratedSchema"  # needs neither data nor another step

pipeline, one_step = (Path(argument) for argument in sys.argv[1:])
spec, *placement = yaml.safe_load_all(pipeline.read_text(encoding="utf-8"))
executors = spec["deploymentSpec"]["executors"]
for name, executor in sorted(executors.items()):
    arguments = executor["container"]["args"]
    module, _, class_name = arguments[arguments.index("--executor_class_path") + 1].rpartition(".")
    getattr(importlib.import_module(module), class_name)
    print(f"{name}: {module}.{class_name}")  # noqa: T201  # the program's output
spec["components"] = {STEP: spec["components"][STEP]}
spec["root"]["dag"]["tasks"] = {STEP: spec["root"]["dag"]["tasks"][STEP]}
spec["deploymentSpec"]["executors"] = {f"{STEP}_executor": executors[f"{STEP}_executor"]}
one_step.write_text(yaml.safe_dump(spec), encoding="utf-8")

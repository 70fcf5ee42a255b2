"""The graph, compiled to TFX's IR: the nodes of DESIGN.md's picture, in its order, the same bytes every time."""

import json
import re
from pathlib import Path

import pytest
from tfx.components.statistics_gen.executor import Executor
from tfx.dsl.compiler import compiler
from tfx.orchestration.local import runner_utils

from components.pusher.options import CodeVersion
from pipeline.config import read_config
from pipeline.graph import RunFacts, create_pipeline

ROOT = Path(__file__).parents[2]
UPSTREAM = {
    "BudgetGate": set(),
    "CocoExampleGen": {"BudgetGate"},
    "CuratedSchema": set(),
    "Transform": {"CocoExampleGen", "CuratedSchema"},
    "StatisticsGen": {"Transform", "CuratedSchema"},
    "ReleasedModel": set(),
    "ExampleValidator": {"StatisticsGen", "ReleasedModel", "CuratedSchema"},
    "Trainer": {"Transform", "ExampleValidator"},
    "Evaluator": {"CocoExampleGen", "CuratedSchema", "Trainer", "ReleasedModel"},
    "MicroPusher": {
        "CocoExampleGen",
        "Transform",
        "StatisticsGen",
        "ReleasedModel",
        "ExampleValidator",
        "Trainer",
        "Evaluator",
    },
}


def data_paths(config):
    """Overrides that name data, as the config's format wants them."""
    has_folders = "format: image_folder" in config.read_text()
    return ["data.images=images"] + ([] if has_folders else ["data.annotations=a.json"])


@pytest.fixture(scope="module")
def compile_ir(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")

    def compile_with(
        *overrides, config="demo", released="v1", fingerprint="f", labels=("a", "b"), weights=None, measures=False
    ):
        settings = read_config(
            str(ROOT / f"pipeline/configs/{config}.yaml"),
            [*data_paths(ROOT / f"pipeline/configs/{config}.yaml"), f"run.root={root}", *overrides],
        )
        code = CodeVersion(version="0.1.0", commit="c", dirty=False, repository=None, lock_sha256=None)
        facts = RunFacts("run-1", fingerprint, released, code, labels, "2026-11-22T03:04:05Z", weights, measures)
        return compiler.Compiler().compile(create_pipeline(settings, facts))

    return compile_with


@pytest.fixture(scope="module")
def ir(compile_ir):
    return compile_ir()


def nodes(ir):
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}


def parameters(node):
    """The exec properties, as the cache compares them."""
    return {name: str(value) for name, value in node.parameters.parameters.items()}


def test_graph_nodes_have_the_edges_of_the_picture(ir):
    assert {name: set(node.upstream_nodes) for name, node in nodes(ir).items()} == UPSTREAM


def test_graph_released_model_is_fetched_under_the_trusted_keys(compile_ir):
    keys = ("release.signing_key=k", "release.trusted_keys=[k.pub]")
    stated = nodes(compile_ir(*keys))["ReleasedModel"].parameters.parameters["trusted_keys"]
    assert json.loads(stated.field_value.string_value) == [str(Path("k.pub").absolute())]


def test_graph_order_runs_every_node_after_what_it_needs(ir):
    done = set()
    for name, node in nodes(ir).items():
        assert set(node.upstream_nodes) <= done, name
        done.add(name)


def test_graph_asks_for_the_budget_before_anything_else(ir):
    assert next(iter(nodes(ir))) == "BudgetGate"


def test_graph_has_no_resolver_that_kubeflow_could_not_run(ir):
    types = [node.node_info.type.name for node in nodes(ir).values()]
    assert not [name for name in types if re.search("resolver", name, re.IGNORECASE)]


def test_graph_compiled_twice_is_the_same_bytes(compile_ir, ir):
    again = compile_ir()
    assert again.SerializeToString(deterministic=True) == ir.SerializeToString(deterministic=True)
    assert str(again) == str(ir)


def test_graph_steps_pack_no_copy_of_tfx_for_workers_on_this_machine(ir, tmp_path, monkeypatch):
    deployment = runner_utils.extract_local_deployment_config(ir)
    arguments = list(runner_utils.extract_executor_spec(deployment, "StatisticsGen").beam_pipeline_args)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Executor(Executor.Context(beam_pipeline_args=arguments, tmp_dir=str(tmp_path / "work"), unique_id="1"))
    assert arguments
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("config", sorted(path.stem for path in (ROOT / "pipeline/configs").glob("*.yaml")))
def test_graph_every_shipped_config_compiles(compile_ir, config):
    assert nodes(compile_ir(config=config)).keys() == UPSTREAM.keys()


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("data.split_seed=1", {"CocoExampleGen"}),
        ("transform.side=64", {"BudgetGate", "Transform", "Trainer"}),
        ("trainer.alpha=0.5", {"BudgetGate", "Trainer"}),
        ("trainer.epochs=3", {"Trainer"}),
        ("run.seed=2", {"Trainer"}),
        ("gates.data.max_label_drift=0.1", {"ExampleValidator"}),
        ("gates.float.min_accuracy=0.5", {"Evaluator"}),
        ("gates.int8.min_accuracy=0.5", set()),
        ("gates.int8.max_arena_bytes=90_000", {"BudgetGate"}),
        ("release.c_name=vww", set()),
    ],
)
def test_graph_changed_setting_changes_the_parameters_of_its_nodes_only(compile_ir, ir, override, changed):
    after = nodes(compile_ir(override))
    differing = {name for name, node in nodes(ir).items() if parameters(node) != parameters(after[name])}
    assert differing == changed | {"MicroPusher"}  # which keeps the whole config


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("data.boxes.outside=quarantine", {"CocoExampleGen"}),
        ("transform.max_boxes=8", {"Transform"}),
        ("trainer.detector.match_iou=0.4", {"Trainer"}),
        ("trainer.detector.outputs=per_map", {"BudgetGate", "Trainer"}),
        ("gates.float.min_ap=0.01", {"Evaluator"}),
        ("release.decoder.min_score=0.1", {"Trainer"}),
        ("release.decoder.postprocess_op=true", set()),
    ],
)
def test_graph_changed_setting_of_a_detector_changes_the_parameters_of_its_nodes_only(compile_ir, override, changed):
    before, after = (nodes(compile_ir(*some, config="detect_demo")) for some in ((), (override,)))
    differing = {name for name in before if parameters(before[name]) != parameters(after[name])}
    assert differing == changed | {"MicroPusher"}


def test_graph_of_a_sweeps_point_measures_what_is_beyond_the_device_budget(compile_ir):
    limited, free = (nodes(compile_ir("gates.int8.max_macs=1", measures=measures)) for measures in (False, True))
    assert '"max_macs":1' in str(parameters(limited["BudgetGate"])).replace("\\", "")
    assert '"max_macs":null' in str(parameters(free["BudgetGate"])).replace("\\", "")
    differing = {name for name in free if parameters(limited[name]) != parameters(free[name])}
    assert differing == {"BudgetGate", "MicroPusher"}


SEARCH = "tuner={max_trials: 2, epochs: 1, space: {trainer.dropout: {min: 0.0, max: 0.5}}}"


def test_graph_with_a_search_has_a_tuner_between_validator_and_trainer(compile_ir, ir):
    after = nodes(compile_ir(SEARCH))
    assert list(after).index("Tuner") == list(after).index("Trainer") - 1
    assert set(after["Tuner"].upstream_nodes) == {"Transform", "ExampleValidator"}
    assert set(after["Trainer"].upstream_nodes) == UPSTREAM["Trainer"] | {"Tuner"}
    assert set(after["MicroPusher"].upstream_nodes) == UPSTREAM["MicroPusher"] | {"Tuner"}
    # The rest is as without one; the Trainer's own settings among it.
    differing = {name for name, node in nodes(ir).items() if parameters(node) != parameters(after[name])}
    assert differing == {"MicroPusher"}


def test_graph_changed_data_or_release_changes_the_nodes_that_read_them(compile_ir, ir):
    for facts, changed in (
        ({"fingerprint": "g"}, {"CocoExampleGen"}),
        ({"released": None}, {"ReleasedModel"}),
        ({"labels": ("a", "b", "c")}, {"BudgetGate", "CuratedSchema", "Trainer", "Evaluator"}),
        ({"weights": "0" * 64}, {"Trainer"}),
    ):
        after = nodes(compile_ir(**facts))
        assert {name for name, node in nodes(ir).items() if parameters(node) != parameters(after[name])} == changed

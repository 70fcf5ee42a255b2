"""The grid: what is asked for, and every way to ask for what is not there."""

import pytest

from components.errors import ConfigError
from pipeline.sweep.grid import Axis, build_grid, parse_axis
from pipeline.sweep.sweep import Sweep


def grid(config_file, *axes, overrides=()):
    return build_grid(config_file, overrides, [parse_axis(axis, "--over") for axis in axes])


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("trainer.alpha=0.25,0.5", Axis("trainer.alpha", (0.25, 0.5))),
        ("trainer.learning_rate=4e-5", Axis("trainer.learning_rate", (4e-5,))),
        ("data.label_rule=slim, mlperf", Axis("data.label_rule", ("slim", "mlperf"))),
        ("trainer.ema_decay=null,0.99", Axis("trainer.ema_decay", (None, 0.99))),
        (
            "trainer.optimizer={name: adam},{name: sgd, momentum: 0.5}",
            Axis("trainer.optimizer", ({"name": "adam"}, {"name": "sgd", "momentum": 0.5})),
        ),
    ],
)
def test_parse_axis_reads_values_as_yaml(text, axis):
    assert parse_axis(text, "--over") == axis


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer.alpha", "--over received 'trainer.alpha'"),
        ("=0.5", "--over received '=0.5'"),
        ("trainer.alpha=", "--over trainer.alpha: received no value"),
        ("trainer.alpha=0.25,,0.5", "the list of --over trainer.alpha=0.25,,0.5 is not YAML"),
        ("trainer.alpha=[0.25", "is not YAML"),
        ("run.root=a,b", "a root and a release store of its own"),
        ("release.uri=a,b", "a root and a release store of its own"),
        ("name=a,b", "a root and a release store of its own"),
    ],
)
def test_parse_axis_of_something_else_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_axis(text, "--over")
    assert message in str(caught.value)


def test_grid_has_every_combination_the_last_axis_fastest(config_file):
    points, duplicates = grid(config_file, "trainer.alpha=0.25,0.5", "transform.side=48,96")
    assert [point.label for point in points] == [
        "alpha=0.25 side=48", "alpha=0.25 side=96", "alpha=0.5 side=48", "alpha=0.5 side=96",
    ]  # fmt: skip
    assert [(p.config.trainer.alpha, p.config.transform.side) for p in points] == [
        (0.25, 48), (0.25, 96), (0.5, 48), (0.5, 96),
    ]  # fmt: skip
    assert points[1].settings == ("trainer.alpha=0.25", "transform.side=96")
    assert duplicates == 0


def test_grid_of_one_point_is_a_grid(config_file):
    points, _ = grid(config_file, "trainer.alpha=0.5")
    assert [point.label for point in points] == ["alpha=0.5"]


def test_grid_leaves_out_what_runs_the_same_and_counts_it(config_file):
    points, duplicates = grid(config_file, "trainer.alpha=0.25,0.250,0.5", "trainer.batch_size=32,32")
    assert [point.label for point in points] == ["alpha=0.25 batch_size=32", "alpha=0.5 batch_size=32"]
    assert duplicates == 4


def test_grid_applies_what_is_set_for_all_points(config_file):
    points, _ = grid(config_file, "trainer.alpha=0.25,0.5", overrides=["trainer.epochs=7"])
    assert {point.config.trainer.epochs for point in points} == {7}


def test_grid_labels_keys_of_the_same_name_by_their_path(config_file):
    points, _ = grid(config_file, "gates.float.min_accuracy=0.5,0.6", "gates.int8.min_accuracy=0.5")
    assert points[0].label == "gates.float.min_accuracy=0.5 gates.int8.min_accuracy=0.5"


def test_grid_names_all_points_that_cannot_be_built(config_file):
    with pytest.raises(ConfigError) as caught:
        grid(config_file, "trainer.alpha=0.25,0.3,wide", "transform.side=96,16")
    text = str(caught.value)
    assert "5 of 6 points cannot be built:" in text
    assert "trainer.alpha: received 0.3; mobilenet_v1 takes 0.25, 0.5, 0.75, 1" in text
    assert "at alpha=0.3 side=96" in text
    assert "transform.side: input should be greater than or equal to 32; received 16" in text
    assert "at alpha=0.25 side=16" in text
    assert "received 'wide'" in text
    assert "nothing was run" in text


def test_grid_over_an_unknown_key_is_refused_once_for_all_points(config_file):
    with pytest.raises(ConfigError) as caught:
        grid(config_file, "trainer.alpah=0.25,0.5")
    text = str(caught.value)
    assert text.count("trainer.alpah: unknown key; did you mean alpha?") == 1
    assert "at alpah=0.25; alpah=0.5" in text


def test_grid_without_an_axis_or_with_one_twice_is_refused(config_file):
    with pytest.raises(ConfigError, match="nothing to sweep"):
        build_grid(config_file, (), [])
    with pytest.raises(ConfigError, match=r"trainer\.alpha: swept twice"):
        grid(config_file, "trainer.alpha=0.25", "trainer.alpha=0.5")


def test_grid_over_a_key_that_the_file_leaves_open_is_a_grid(config_file, tmp_path):
    text = (tmp_path / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(text.replace("  batch_size: 32\n", ""))
    axes = [parse_axis("trainer.batch_size=16,32", "--over")]
    sweep = Sweep(config_file, (), axes, None, "vww")
    assert sweep.page == tmp_path / "run" / "sweep" / "sweep.html"

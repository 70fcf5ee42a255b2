from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from pipeline.config import RunConfig, read_config

CONFIGS = Path(__file__).parents[3] / "pipeline" / "configs"
MINIMAL = """\
name: tiny
run: {root: /r}
data: {annotations: /d/instances.json, images: /d/images}
trainer:
  optimizer: {name: adam}
  schedule: {name: cosine}
  learning_rate: 0.003
  batch_size: 32
  epochs: 2
gates:
  float: {min_accuracy: 0.5}
  int8: {min_accuracy: 0.5}
"""


@pytest.fixture
def read(tmp_path):
    """Reads a config from its text."""

    def read_text(text=MINIMAL, *overrides):
        path = tmp_path / "tiny.yaml"
        path.write_text(text, encoding="utf-8")
        return read_config(str(path), overrides)

    return read_text


@pytest.fixture
def refuse(read):
    """Reads a config that must be refused; gives the message."""

    def refuse_text(text=MINIMAL, *overrides):
        with pytest.raises(ConfigError) as caught:
            read(text, *overrides)
        assert caught.value.exit_code == 2
        return str(caught.value)

    return refuse_text


# The file.


def test_read_config_minimal_file_fills_in_the_defaults(read):
    config = read()
    assert (config.transform.side, config.transform.channels) == (96, 1)
    assert config.data.rule.id == "slim"
    assert config.data.categories == ("person",)
    assert config.data.shares == {"train": 0.8, "eval": 0.2}
    assert config.beam.runner == "direct"
    assert config.gates.float_.min_accuracy == 0.5
    assert config.release_uri == "/r/releases"


def test_read_config_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"cannot read the config file no/such\.yaml: .*No such file") as caught:
        read_config("no/such.yaml")
    assert "demo.yaml" in str(caught.value)


def test_read_config_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the config file .*Is a directory"):
        read_config(str(tmp_path))


def test_read_config_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"cannot read the config file .*c\.yaml"):
        read_config(str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("text", "kind"), [("", "NoneType"), ("- a\n- b\n", "list"), ("demo\n", "str"), ("# nothing\n", "NoneType")]
)
def test_read_config_what_is_no_mapping_is_refused(refuse, text, kind):
    assert f"tiny.yaml holds {kind}, not sections" in refuse(text)


def test_read_config_broken_yaml_names_file_and_line(refuse):
    message = refuse(MINIMAL + "release: {c_name: [\n")
    assert "tiny.yaml is not YAML" in message
    assert "line 14" in message


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "? [a, b]\n: 1\n", "1: 2\n", "!!python/object/apply:os.getcwd []\n"])
def test_read_config_odd_yaml_is_refused_without_a_trace(refuse, text):
    refuse(text)


# Keys.


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainr.epochs=1", "trainr: unknown key; did you mean trainer"),
        ("trainer.epoch=1", "trainer.epoch: unknown key; did you mean epochs?"),
        ("trainer.optimizer.beta1=0.9", "trainer.optimizer.beta1: unknown key; did you mean beta_1"),
        ("trainer.optimizer.rho=0.9", "trainer.optimizer.rho: unknown key; expected one of: name, beta_1,"),
        ("trainer.schedule.warmup=1", "trainer.schedule.warmup: unknown key; did you mean warmup_epochs?"),
        ("trainer.augmentation=[{name: shift, max_shift: 1}]", "trainer.augmentation.0.max_shift: unknown key; "),
        ("gates.float.min_acuracy=0.5", "gates.float.min_acuracy: unknown key; did you mean min_accuracy"),
        ("gates.float_.min_accuracy=0.5", "gates.float_: unknown key; did you mean float?"),
        ("gates.int8.zzz=1", "gates.int8.zzz: unknown key; expected one of: device, max_flatbuffer_bytes,"),
        ("data.image=x", "data.image: unknown key; did you mean images?"),
        ("run.rot=x", "run.rot: unknown key; did you mean root?"),
        ("transform.size=96", "transform.size: unknown key; "),
        ("release.url=x", "release.url: unknown key; did you mean uri?"),
        (
            "zzz=1",
            "zzz: unknown key; expected one of: name, task, run, beam, data, transform, trainer, tuner, gates, release",
        ),
    ],
)
def test_read_config_unknown_key_is_named_with_the_nearest(refuse, override, message):
    assert message in refuse(MINIMAL, override)


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ("name: tiny\n", "name"),
        ("run: {root: /r}\n", "run"),
        ("  epochs: 2\n", "trainer.epochs"),
        ("  int8: {min_accuracy: 0.5}\n", "gates.int8"),
        ("  optimizer: {name: adam}\n", "trainer.optimizer"),
    ],
)
def test_read_config_missing_key_is_named_with_its_override(refuse, lines, path):
    assert lines in MINIMAL
    message = refuse(MINIMAL.replace(lines, ""))
    assert f"{path}: missing; pass --set {path}=VALUE or write it into the file" in message
    assert message.count(": missing;") == 1


def test_read_config_missing_key_deep_in_a_union_is_named_without_its_tag(refuse):
    message = refuse(MINIMAL, "trainer.schedule={name: exponential, decay_factor: 0.9}")
    assert "trainer.schedule.epochs_per_decay: missing" in message


def test_read_config_missing_key_in_a_list_is_named_without_an_override_that_cannot_be(refuse):
    message = refuse(MINIMAL, "trainer.augmentation=[{name: crop}]")
    assert "trainer.augmentation.0.min_area_fraction: missing; write it into the list" in message
    assert "--set trainer.augmentation" not in message


def test_read_config_several_problems_are_all_listed(refuse):
    message = refuse(MINIMAL, "trainer.epoch=1", "trainer.batch_size=0", "run.seed=-1")
    assert "trainer.epoch: unknown key" in message
    assert "trainer.batch_size: input should be greater than or equal to 1; received 0" in message
    assert "run.seed: input should be greater than or equal to 0; received -1" in message
    assert not [line for line in message.splitlines() if line.endswith(" ")]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.epochs=many", "trainer.epochs: input should be a valid integer; received 'many'"),
        ("trainer.epochs='2'", "trainer.epochs: input should be a valid integer; received '2'"),
        ("trainer.epochs=2.5", "trainer.epochs: input should be a valid integer"),
        ("trainer.epochs=", "trainer.epochs: missing; pass --set trainer.epochs=VALUE"),
        ("trainer.learning_rate=true", "trainer.learning_rate: input should be a valid number; received True"),
        ("trainer.learning_rate=.nan", "trainer.learning_rate: "),
        ("trainer.learning_rate=0", "trainer.learning_rate: input should be greater than 0; received 0"),
        ("data.group_near_duplicates=1", "data.group_near_duplicates: input should be a valid bool"),
        ("data.group_near_duplicates=no", "near_duplicates: input should be a valid boolean; received 'no'"),
        ("trainer.augmentation=heavy", "trainer.augmentation: input should be 'none', 'slim', 'mlperf' or 'ssd'"),
        (
            "trainer.augmentation={name: crop}",
            "trainer.augmentation: input should be 'none', 'slim', 'mlperf' or 'ssd'; received {'name': 'crop'}",
        ),
        ("trainer.augmentation=[{name: flip}]", "trainer.augmentation.0: input tag 'flip' found using 'name' does not"),
        (
            "trainer.augmentation=[{name: shift, max_fraction: 2}]",
            "trainer.augmentation.0.max_fraction: input should be less than or equal to 0.5; received 2",
        ),
        (
            "trainer.augmentation=[{name: mixup, alpha: 1.0}, {name: horizontal_flip}]",
            "trainer.augmentation: expected horizontal_flip before mixup: mixup and cutmix, which mix finished images",
        ),
        (
            "trainer.augmentation=[{name: crop, min_area_fraction: 0.5, max_area_fraction: 0.2}]",
            "trainer.augmentation.0.min_area_fraction: received 0.5, which is more than max_area_fraction=0.2",
        ),
        (
            "trainer.augmentation=slim",
            "saturation needs colour, which gray rasters have not; pass --set transform.training_raster='{side: 96, ",
        ),
        (
            "transform.training_raster={side: 200, channels: 3}",
            "transform.training_raster: received side=200; expected 96 to 192",
        ),
        ("transform.training_raster={side: 96, channels: 1}", "transform.training_raster: the same as the model's"),
        ("transform.channels=2", "transform.channels: input should be 1 or 3; received 2"),
        ("transform.side=31", "transform.side: input should be greater than or equal to 32; received 31"),
        ("name=Tiny Model", "name: string should match pattern"),
        ("name=5", "name: input should be a valid string; received 5"),
        ("run=/r", "run: input should be an object; received '/r'"),
        ("trainer.optimizer=adam", "trainer.optimizer: "),
        ("trainer.optimizer.name=lion", "trainer.optimizer: input tag 'lion' found using 'name' does not match"),
        ("data.splits={train: 0.8, dev: 0.2}", "data.splits.dev: input should be 'train', 'eval' or 'test'"),
        ("data.splits={train: 0.8, test: 0.2}", "data.splits: expected train, eval; there is no eval"),
        ("data.splits={train: 0.8, eval: 0.3}", "data.splits: expected positive shares that add up to 1"),
        ("data.splits={train: 1.0}", "data.splits: expected train, eval; there is no eval"),
        ("data.label_rule=slimm", "data.label_rule: input should be 'slim', 'slim-download', 'pyvww'"),
        ("data.label_rule={min_area_fraction: x}", "data.label_rule.min_area_fraction: input should be a valid number"),
        ("data.label_rule={min_area_fraction: 1.5}", "data.label_rule.min_area_fraction: input should be less than 1"),
        ("data.label_rule={min_area: 0.1}", "data.label_rule.min_area: unknown key; did you mean min_area_fraction?"),
        ("data.annotations=[a, 3]", "data.annotations.1: input should be a valid string; received 3"),
        ("data.annotations={dev: a}", "data.annotations.dev: input should be 'train', 'eval' or 'test'"),
        ("data.annotations={train: a}", "data.splits: expected train, eval; there is no eval"),
        ("data.images=[a, b]", "data.images: expected one folder for all annotations files, or one for each"),
        ("data.category=[cat, cat]", "data.category: expected different names"),
        ("data.category=[cat, background]", "data.category: expected different names"),
        ("data.category=[]", "data.category: expected different names, at least one"),
        ("data.category=[cat, '']", "data.category: expected names of one line, as labels.txt has them; received ''"),
        (
            'data.category="stop\\nsign"',
            r"data.category: expected names of one line, as labels.txt has them; received 's",
        ),
        ("data.format=image_folder", "data.annotations: has no meaning with format=image_folder"),
        ("data.split_ids={dev: ids.txt}", "data.split_ids.dev: input should be 'train', 'eval' or 'test'"),
        ("run.beam_pipeline_args=--x", "run.beam_pipeline_args: unknown key"),
        (
            "beam.runner=spark",
            "beam.runner: input should be 'direct', 'portable', 'flink' or 'dataflow'; received 'spark'",
        ),
        ("beam.workers=0", "beam.workers: input should be greater than or equal to 1; received 0"),
        ("release.c_name=Person", "release.c_name: string should match pattern"),
        ("release.c_name=front__door", "release.c_name: string should match pattern"),
        (f"release.c_name={'a' * 65}", "release.c_name: string should have at most 64 characters"),
    ],
)
def test_read_config_wrong_value_is_named_with_what_was_received(refuse, override, message):
    assert message in refuse(MINIMAL, override)


def test_read_config_bad_item_of_a_list_is_named_alone(refuse):
    ratios = "trainer.detector.anchors.aspect_ratios"
    problem = refuse(MINIMAL, "task=detection", f"{ratios}=[0]")
    assert f"{ratios}.0: input should be greater than 0; received 0" in problem
    assert "at least 1 item" not in problem
    assert f"{ratios}: tuple should have at least 1 item" in refuse(MINIMAL, "task=detection", f"{ratios}=[]")


# YAML 1.2.


@pytest.mark.parametrize(
    ("text", "value"),
    [("4e-5", 4e-5), ("1e3", 1000.0), ("1E+3", 1000.0), (".5", 0.5), ("5.", 5.0), ("2", 2.0), ("1_000.5", 1000.5)],
)
def test_read_config_number_is_read_as_yaml_1_2_does(read, text, value):
    assert read(MINIMAL, f"trainer.learning_rate={text}").trainer.learning_rate == value
    file = MINIMAL.replace("learning_rate: 0.003", f"learning_rate: {text}")
    assert read(file).trainer.learning_rate == value


@pytest.mark.parametrize("text", ["1e400", "-1e400", "!!float .inf", "!!float .nan"])
def test_read_config_number_beyond_all_floats_is_refused(refuse, text):
    problem = refuse(MINIMAL, f"trainer.learning_rate={text}")
    assert "the value of --set trainer.learning_rate is not YAML" in problem
    assert "is no finite number" in problem


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "NO", "1e", "e5", "2026-11-22", "2026-11-22T03:04:05Z"])
def test_read_config_word_stays_a_word(read, word):
    assert read(MINIMAL, f"data.category={word}").data.category == word


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_read_config_boolean_is_true_or_false(read, text, value):
    config = read(MINIMAL, f"data.group_near_duplicates={text}")
    assert config.data.group_near_duplicates is value


def test_read_config_grouped_digits_are_a_number(read):
    assert read(MINIMAL, "gates.int8.max_flatbuffer_bytes=320_000").gates.int8.max_flatbuffer_bytes == 320_000


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MINIMAL + "name: again\n", "name"),
        (MINIMAL.replace("  epochs: 2\n", "  epochs: 2\n  epochs: 3\n"), "epochs"),
        (MINIMAL.replace("{name: adam}", "{name: adam, name: rmsprop}"), "name"),
    ],
)
def test_read_config_key_given_twice_is_refused_with_its_line(refuse, text, key):
    message = refuse(text)
    assert f"the key '{key}' stands twice" in message
    assert "line" in message


# --set.


def test_read_config_override_makes_missing_sections(read):
    assert read(MINIMAL, "gates.data.max_label_drift=0.1").gates.data.max_label_drift == 0.1


def test_read_config_batch_of_one_cannot_be_mixed(refuse):
    message = refuse(MINIMAL, "trainer.augmentation=[{name: mixup, alpha: 0.2}]", "trainer.batch_size=1")
    assert "trainer.batch_size: received 1; expected images to mix for mixup" in message


def test_read_config_saturation_is_taken_with_colour_to_train_on(read):
    for override in ("transform.training_raster={side: 96, channels: 3}", "transform.channels=3"):
        assert read(MINIMAL, "trainer.augmentation=slim", override).trainer.augmentation == "slim"


def test_read_config_later_override_wins(read):
    assert read(MINIMAL, "trainer.epochs=3", "trainer.epochs=5").trainer.epochs == 5


def test_read_config_override_takes_whole_sections_and_lists(read):
    config = read(MINIMAL, "trainer.optimizer={name: rmsprop, rho: 0.5}", "data.licenses=[CC BY 4.0, MIT]")
    assert config.trainer.optimizer.name == "rmsprop"
    assert config.trainer.optimizer.rho == 0.5
    assert config.data.licenses == ("CC BY 4.0", "MIT")


def test_read_config_override_null_unsets_a_limit(read):
    assert read(MINIMAL, "gates.float.max_accuracy_drop=null").gates.float_.max_accuracy_drop is None


def test_read_config_override_keeps_equals_signs_in_the_value(read):
    assert read(MINIMAL, "release.uri=/a=b").release.uri == "/a=b"


@pytest.mark.parametrize("override", ["trainer.epochs", "=5", " =5", ""])
def test_read_config_override_without_path_and_value_is_refused(refuse, override):
    message = refuse(MINIMAL, override)
    assert f"--set received {override!r}" in message
    assert "expected: path.to.key=value" in message


@pytest.mark.parametrize(
    ("override", "section"), [("trainer.epochs.x=1", "trainer.epochs"), ("name.x.y=1", "name.x"), ("name.x=1", "name")]
)
def test_read_config_override_below_a_value_is_refused(refuse, override, section):
    assert f"{section} is a value, not a section" in refuse(MINIMAL, override)


def test_read_config_override_that_is_no_yaml_names_the_key(refuse):
    assert "the value of --set data.splits is not YAML" in refuse(MINIMAL, "data.splits={train: 0.8")


# Paths.


def test_read_config_relative_paths_hold_from_the_working_directory(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read(
        MINIMAL, "run.root=runs/x", "data.annotations=a/../i.json", "data.images=./images/", "release.uri=rel"
    )
    assert config.run.root == f"{tmp_path}/runs/x"
    assert config.data.annotations == f"{tmp_path}/i.json"
    assert config.data.images == f"{tmp_path}/images"
    assert config.release_uri == f"{tmp_path}/rel"


def test_read_config_home_is_expanded(read, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert read(MINIMAL, "run.root=~/runs").run.root == "/home/someone/runs"


def test_read_config_bucket_stays_as_it_is(read):
    config = read(MINIMAL, "release.uri=gs://bucket/a/../b", "data.images=gs://bucket/images")
    assert config.release_uri == "gs://bucket/a/../b"
    assert config.data.images == "gs://bucket/images"


# Back to YAML.


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("trainer.weight_decay=4e-5", "data.category=no", "release.uri=gs://b/p", "gates.float.min_auc=0.5"),
        ("trainer.optimizer.name=rmsprop",),
        ("trainer.schedule={name: exponential, decay_factor: 1, epochs_per_decay: 2}",),
        ("data.category='Größe: 1e3'", "run.root=/tmp/ä ö"),
        ("data.category='1e3'", "data.images=/true"),
        ("data.category='true'",),
        ("data.category='12:30:00'",),
        ("data.category='0x1F'",),
        ("data.category='null'",),
    ],
)  # fmt: skip
def test_to_yaml_read_again_is_the_same_config(read, overrides):
    config = read(MINIMAL, *overrides)
    assert read(config.to_yaml()) == config
    assert read(config.to_yaml()).to_yaml() == config.to_yaml()


def test_to_yaml_names_sections_as_the_file_does(read):
    tree = yaml.safe_load(read().to_yaml())
    assert list(tree) == [
        "name",
        "task",
        "run",
        "beam",
        "data",
        "transform",
        "trainer",
        "tuner",
        "gates",
        "release",
        "kubeflow",
    ]
    assert list(tree["gates"]) == ["on", "data", "float", "int8"]
    assert tree["trainer"]["alpha"] == 0.25


def test_run_config_json_round_trip_is_the_same_config(read):
    config = read()
    assert RunConfig.from_json(config.to_json()) == config


# The configs that are checked in.


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_read_config_checked_in_file_is_valid_with_data_paths(path):
    has_folders = "format: image_folder" in path.read_text()
    config = read_config(str(path), ["data.images=/d"] + ([] if has_folders else ["data.annotations=/d/a.json"]))
    assert config.name == path.stem
    assert Path(config.run.root).parent == Path.cwd() / "runs"
    assert set(config.data.shares) == {"train", "eval"}


def test_read_config_recipe_without_data_names_what_to_set():
    with pytest.raises(ConfigError) as caught:
        read_config(str(CONFIGS / "vww_mobilenet_v1_025_96_gray.yaml"))
    message = str(caught.value)
    assert "data.annotations, images: missing; pass --set data.annotations=PATH --set data.images=PATH" in message


def test_read_config_both_named_recipes_are_there():
    assert {path.name for path in CONFIGS.glob("*.yaml")} >= {"demo.yaml", "vww_mobilenet_v1_025_96_gray.yaml"}


DETECTION = ("task=detection", "gates.float={min_ap50: 0.5}", "gates.int8={min_ap50: 0.5}")


def test_read_config_detection_without_a_word_takes_the_default_detector(read):
    config = read(MINIMAL, *DETECTION)
    assert config.trainer.detector is not None
    assert config.trainer.best_metric == "ap"
    assert config.data.boxes is not None


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (("task=detection",), "gates.float.min_accuracy: has no meaning with task=detection; leave it out"),
        (("gates.int8.min_ap=0.3",), "gates.int8.min_ap: has no meaning with task=classification"),
        (("trainer.detector={}",), "trainer.detector: has no meaning with task=classification"),
        (("data.boxes={}",), "data.boxes: has no meaning with task=classification"),
        ((*DETECTION, "data.label_rule=slim"), "data.label_rule: has no meaning with task=detection"),
        ((*DETECTION, "data.boxes.outside=drop"), "data.boxes.outside: input should be 'clip' or 'quarantine'"),
        (
            (*DETECTION, "data.format=image_folder"),
            "data.format: received image_folder; a detector learns from boxes",
        ),
        ((*DETECTION, "gates.float={}"), "gates.float.min_ap: missing; pass --set gates.float.min_ap=VALUE or"),
        ((*DETECTION, "trainer.label_smoothing=0.1"), "trainer.label_smoothing: has no meaning for a detector"),
        ((*DETECTION, "trainer.best_by.metric=auc"), "trainer.best_by: expected ap, ap50 or loss, received auc"),
        (("trainer.best_by.metric=ap",), "trainer.best_by: expected accuracy, auc or loss, received ap"),
        ((*DETECTION, "trainer.detector.pyramid=ppn"), "trainer.detector.shares_heads: expected true with pyramid=ppn"),
        ((*DETECTION, "transform.side=32"), "transform.side: 32 is too small for the feature maps"),
        (
            (*DETECTION, "trainer.detector.feature_layers=[x]"),
            "trainer.detector.feature_layers: mobilenet_v1 has no block",
        ),
        (
            (*DETECTION, "trainer.detector.anchors.scales=[0.2]"),
            "anchors.scales: received 1 for 4 feature maps; expected",
        ),
    ],
)
def test_read_config_key_of_the_other_task_is_refused(read, overrides, problem):
    with pytest.raises(ConfigError) as caught:
        read(MINIMAL, *overrides)
    assert problem in str(caught.value)

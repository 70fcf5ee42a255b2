"""What is known of a plan to end a run before it trains."""

import pytest
from PIL import Image

from components.errors import ConfigError
from components.example_gen.plan import plan_dataset
from pipeline.config import read_config
from pipeline.refusals import check_plan, find_refusals

CONFIG = """
name: tiny
run: {{root: {folder}/run}}
data: {{format: image_folder, images: {folder}/images, splits: {{train: 0.5, eval: 0.5}}}}
trainer:
  optimizer: {{name: adam}}
  learning_rate: 0.001
  schedule: {{name: cosine}}
  batch_size: 4
  epochs: 1
gates: {{on: point, float: {{min_accuracy: 0.0}}, int8: {{min_accuracy: 0.0}}}}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Config and plan of 16 images of each of two labels."""
    folder = tmp_path_factory.mktemp("refusals")
    for place, name in enumerate(("cat", "dog")):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(16):
            Image.new("RGB", (60, 60), (15 * number, 100 * place, 0)).save(folder / "images" / name / f"{number}.png")
    (folder / "tiny.yaml").write_text(CONFIG.format(folder=folder))

    def make(*overrides):
        config = read_config(str(folder / "tiny.yaml"), overrides)
        return config, plan_dataset(config.data)

    return make


SEARCH = "tuner={max_trials: 2, epochs: 1, space: {trainer.batch_size: {values: [%s]}}}"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.batch_size=33"], r"trainer\.batch_size=33 is more than the \d+ images of the train split"),
        ([SEARCH % "4, 33"], r"tuner\.space: trainer\.batch_size=33 is more than the \d+ images"),
    ],
)
def test_check_plan_batch_larger_than_train_is_refused(planned, overrides, words):
    config, plan = planned(*overrides)
    with pytest.raises(ConfigError, match=words) as refused:
        check_plan(config, plan)
    assert [str(each) for each in find_refusals(config, plan)] == [str(refused.value)]


@pytest.mark.parametrize("overrides", [[], [SEARCH % "4, 8", "trainer.batch_size=33"]])
def test_check_plan_what_can_be_trained_passes(planned, overrides):
    config, plan = planned(*overrides)
    check_plan(config, plan)
    assert list(find_refusals(config, plan)) == []


def test_find_refusals_gives_each_that_a_run_would_come_to(planned):
    refusals = find_refusals(*planned("release.golden_images=40", "trainer.batch_size=40", "gates.on=lower_bound"))
    assert [refusal.message.split("=")[0].split(":")[0] for refusal in refusals] == [
        "no model can pass these gates on the eval split",
        "release.golden_images",
        "trainer.batch_size",
    ]

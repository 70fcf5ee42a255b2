"""A training killed at two points goes on with the next run, to the bits that it would have reached."""

from pathlib import Path

import pytest

from components.errors import PipelineError

STEPS = 12  # 2 epochs of 6
SETTINGS = (
    "trainer.checkpoint_interval_steps=2",
    "trainer.ema_decay=0.99",
    "trainer.dropout=0.2",
    "trainer.augmentation=slim",
    "transform.training_raster={side: 48, channels: 3}",
)


class Training:
    """The Trainer of a run below `root`, and all before it."""

    def __init__(self, config, warm_run):
        self.root = Path(config.run.root)
        self._config = config
        self._run = warm_run
        self.steps = []

    def run(self, stop=None):
        """Up to the Trainer's end, or to where it is killed; keeps the first and the last step that it tells of."""
        reported = []

        def on_event(event, worker):
            if event.kind == "node_progress" and event.unit == "steps":
                reported.append(event.done)

        try:
            return self._run(self._config, stop=stop, on_event=on_event, until="Trainer")
        finally:
            self.steps.append((reported[0], reported[-1]))

    @property
    def checkpoints(self):
        return [path.name for path in (self.root / "checkpoints").rglob("*") if path.is_file()]

    @property
    def exported(self):
        """The bytes of every variable of the one exported model, by its name."""
        import tensorflow as tf

        (index,) = (self.root / "artifacts/Trainer/model").glob("*/Format-Serving/variables/variables.index")
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        # Keras exports each variable once more, by its place in a list that has no fixed order.
        names = [
            name for name in reader.get_variable_to_dtype_map() if not name.startswith(("_all_variables", "_CHECK"))
        ]
        return {name: reader.get_tensor(name).tobytes() for name in names}


@pytest.fixture(scope="module")
def uninterrupted(sample_set, tiny_config, tmp_path_factory, warm_run):
    training = Training(tiny_config(sample_set, tmp_path_factory.mktemp("whole") / "run", *SETTINGS), warm_run)
    training.run()
    return training


def test_run_killed_twice_in_training_goes_on_to_the_same_weights(
    uninterrupted, sample_set, tiny_config, tmp_path_factory, warm_run
):  # fmt: skip
    config = tiny_config(sample_set, tmp_path_factory.mktemp("killed") / "run", *SETTINGS)
    training = Training(config, warm_run)
    for step in (3, 9):  # in the first epoch, and in the second
        with pytest.raises(PipelineError, match=r"signal SIGKILL"):
            training.run(stop=("Trainer", f"report {step}"))
        assert training.checkpoints == ["checkpoint.npz"]
    finished = training.run()
    assert "Transform" in finished.reused
    # From the checkpoints after steps 2 and 8. Most reports are held back, but never a run's first or last.
    assert [first for first, _ in training.steps] == [1, 3, 9]
    assert training.steps[-1][1] == uninterrupted.steps[-1][1] == STEPS
    assert len(uninterrupted.exported) > 100
    assert training.exported == uninterrupted.exported
    assert training.checkpoints == uninterrupted.checkpoints == []

"""A step over several devices, and in other precisions, against the plain one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.errors import ConfigError
from components.trainer.options import TrainerOptions
from components.trainer.replicas import check_gpus, check_shares

ROOT = Path(__file__).parents[3]
# Two logical CPUs stand for two GPUs; they have to be made before TensorFlow starts, hence the process. BatchNorm's
# statistics are of a replica's share, so there is none, and every weight must come out as on one device.
TRAIN = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
from components.trainer.input_pipeline import Split
from components.trainer.loop import TrainingLoop
from components.trainer.objectives.classification import ClassifierObjective
from components.trainer.options import TrainerOptions
from components.trainer.replicas import calculating_in, share_batches, training_strategy

random = np.random.default_rng(0)
labels = np.arange(32) % 2
rasters = np.clip(random.normal(np.where(labels, 180, 70)[:, None, None, None], 25, (32, 16, 16, 1)), 0, 255)
images = (rasters / 127.5 - 1).astype(np.float32)
batches = tf.data.Dataset.from_tensor_slices((images, np.eye(2, dtype=np.float32)[labels])).batch(8, True)

def train(devices, options):
    strategy = training_strategy([f"CPU:{n}" for n in range(devices)])
    def build():
        keras.utils.set_random_seed(1)
        penalty = keras.regularizers.L2(0.01)
        return keras.Sequential([
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(8, 3, strides=2, padding="same", kernel_regularizer=penalty, name="conv1"),
            keras.layers.ReLU(6.0),
            keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="conv_dw_1"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, kernel_regularizer=penalty, name="conv_preds"),
        ])
    twin = build()
    with strategy.scope(), calculating_in(options.precision):
        model = build()
    objective = ClassifierObjective(options, np.asarray([0.5, 1.5], np.float32))
    loop = TrainingLoop(model, options, 4, objective, strategy=strategy, judged=twin)
    for share, wanted in share_batches(batches, strategy):
        loop.step(share, wanted)
    epoch, _ = loop.finish_epoch(Split(rasters.astype(np.uint8), labels))
    checkpoint = loop.checkpoint()
    loop.restore(checkpoint)
    again = loop.checkpoint()
    return {
        "replicas": strategy.num_replicas_in_sync,
        "epoch": epoch.model_dump(),
        "weights": np.concatenate([w.numpy().ravel() for w in model.trainable_weights]).tolist(),
        "averages": np.concatenate([a.ravel() for a in checkpoint.weights]).tolist(),
        "dtypes": [str(model.get_layer("conv1").compute_dtype), *sorted({str(w.dtype) for w in model.weights})],
        "restored": all(np.array_equal(a, b) for a, b in zip(checkpoint.variables, again.variables)),
    }

for devices, options in json.loads(sys.argv[1]):
    print(json.dumps(train(devices, TrainerOptions.model_validate_json(json.dumps(options)))))
"""
OPTIONS = {
    "optimizer": {"name": "sgd"},
    "schedule": {"name": "cosine"},
    "learning_rate": 0.02,
    "batch_size": 8,
    "epochs": 1,
    "label_smoothing": 0.1,
    "ema_decay": 0.5,
}
CASES = {
    "plain": (1, OPTIONS),
    "two devices": (2, OPTIONS),
    "float16": (1, {**OPTIONS, "precision": "mixed_float16"}),
    "bfloat16": (1, {**OPTIONS, "precision": "mixed_bfloat16"}),
    "xla": (1, {**OPTIONS, "xla": True}),
}


@pytest.fixture(scope="module")
def trained():
    finished = subprocess.run(
        [sys.executable, "-c", TRAIN, json.dumps(list(CASES.values()))],
        check=False, capture_output=True, text=True, cwd=ROOT, timeout=400,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-3000:]
    return dict(zip(CASES, map(json.loads, finished.stdout.splitlines()[-len(CASES) :]), strict=True))


def test_step_over_two_devices_gives_the_weights_of_one(trained):
    one, two = trained["plain"], trained["two devices"]
    assert (one["replicas"], two["replicas"]) == (1, 2)
    for part in ("weights", "averages"):
        np.testing.assert_allclose(two[part], one[part], atol=2e-6, err_msg=part)
    for part, key in (("train", "loss"), ("train", "accuracy"), ("eval", "loss")):
        assert two["epoch"][part][key] == pytest.approx(one["epoch"][part][key], rel=1e-4)


@pytest.mark.parametrize(("case", "near"), [("float16", 0.01), ("bfloat16", 0.03)])
def test_mixed_precision_keeps_float32_weights_and_follows_the_plain_training(trained, case, near):
    plain, mixed = trained["plain"], trained[case]
    assert plain["dtypes"] == ["float32", "float32"]
    assert mixed["dtypes"] == [case, "float32"]
    assert 0 < np.abs(np.subtract(mixed["weights"], plain["weights"])).max() < near
    assert mixed["epoch"]["train"]["loss"] == pytest.approx(plain["epoch"]["train"]["loss"], rel=0.05)


def test_xla_step_gives_the_weights_of_the_plain_one(trained):
    np.testing.assert_allclose(trained["xla"]["weights"], trained["plain"]["weights"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_checkpoint_of_every_kind_of_training_restores_the_same_bits(trained, case):
    assert trained[case]["restored"]


def test_gpus_that_were_asked_for_and_are_not_there_are_told_of():
    check_gpus(0)
    with pytest.raises(ConfigError, match="gpus=2 were asked for, and TensorFlow sees 0"):
        check_gpus(2)


def test_work_that_gpus_cannot_share_is_refused():
    def options(**changes):
        return TrainerOptions.model_validate_json(json.dumps({**OPTIONS, **changes}))

    check_shares(options(batch_size=32), 4)
    with pytest.raises(ConfigError, match=r"trainer\.batch_size=33 cannot be shared equally by 2 GPUs") as caught:
        check_shares(options(batch_size=33), 2)
    assert "--set trainer.batch_size=34" in caught.value.hint
    check_shares(options(xla=True), 1)
    with pytest.raises(ConfigError, match=r"trainer\.xla=true: XLA cannot compile a step that 2 GPUs share"):
        check_shares(options(xla=True), 2)

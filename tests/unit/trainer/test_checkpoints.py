import numpy as np
import pytest

from components.errors import ModelError, StorageError
from components.trainer.checkpoints import FILE_NAME, Checkpoint, CheckpointFolder, Epoch, Position
from components.trainer.loop import epochs_without_gain, metric_values
from components.trainer.objectives.classification import class_weights
from components.trainer.options import EarlyStopping


def epoch(loss=0.5, accuracy=0.8, auc=0.9):
    return Epoch(
        learning_rate=0.1,
        train={"loss": 0.1 + 0.2, "accuracy": 1 / 3},  # 0.30000000000000004 comes back as such
        eval={"loss": loss, "accuracy": accuracy, **({} if auc is None else {"auc": auc})},
    )


@pytest.fixture
def examples(tmp_path):
    path = tmp_path / "examples"
    path.write_bytes(b"images")
    return path


@pytest.fixture
def folder(tmp_path, examples):
    return CheckpointFolder(tmp_path / "checkpoints", "job", "code", [str(examples)])


def checkpoint(step, count=12):
    arrays = [np.full((2, 3), n + step, np.float32) for n in range(count)]
    return Checkpoint(
        Position(step=step, sums={"loss": 0.1}, history=(epoch(), epoch(auc=None))),
        [*arrays, np.array(step)],
        arrays[4:6],
        arrays[:2],
    )


def test_checkpoint_reads_back_as_it_was_written_the_latest_one(folder):
    assert folder.read() is None
    for step in (1, 2):
        folder.write(checkpoint(step))
    found, expected = folder.read(), checkpoint(2)
    assert found.position == expected.position
    for part in ("variables", "weights", "best"):
        arrays, wanted = getattr(found, part), getattr(expected, part)
        assert [a.dtype for a in arrays] == [w.dtype for w in wanted]
        for array, want in zip(arrays, wanted, strict=True):
            np.testing.assert_array_equal(array, want)
    assert [path.name for path in folder.path.iterdir()] == [FILE_NAME]


def test_checkpoint_half_written_by_a_killed_process_is_not_seen(folder):
    folder.write(checkpoint(1))
    (folder.path / f".{FILE_NAME}").write_bytes(b"half")
    assert folder.read().position.step == 1
    folder.write(checkpoint(2))
    assert [path.name for path in folder.path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda _: b"", lambda _: b"no zip"])
def test_checkpoint_damaged_is_a_storage_error_that_says_what_to_delete(folder, damage):
    folder.write(checkpoint(1))
    path = folder.path / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match="damaged") as caught:
        folder.read()
    assert f"delete {folder.path}" in caught.value.hint


def test_checkpoint_folder_that_cannot_be_made_is_a_storage_error(examples):
    with pytest.raises(StorageError, match=r"cannot be written: Not a directory: step=7"):
        CheckpointFolder(examples / "below a file", "job", "code", []).write(checkpoint(7))


def test_checkpoint_folder_follows_job_code_and_the_content_of_the_examples(tmp_path, examples, folder):
    def path(*identity):
        return CheckpointFolder(tmp_path / "checkpoints", *identity, [str(examples)]).path

    copy = tmp_path / "copy"
    copy.write_bytes(examples.read_bytes())
    assert path("job", "code") == folder.path
    assert CheckpointFolder(tmp_path / "checkpoints", "job", "code", [str(copy)]).path == folder.path
    assert len({folder.path, path("job", "other"), path("other", "code"), path("jobcode", "")}) == 4
    examples.write_bytes(b"imagesX")
    assert path("job", "code") != folder.path


def test_checkpoint_folder_deleted_is_gone_and_twice_is_no_error(folder):
    folder.write(checkpoint(1))
    folder.delete()
    folder.delete()
    assert not folder.path.exists()
    assert folder.read() is None


@pytest.mark.parametrize(
    ("metric", "expected"), [("accuracy", [0.8, 0.7]), ("auc", [0.9, 0.95]), ("loss", [-0.5, -0.4])]
)
def test_metric_values_are_higher_where_an_epoch_is_better(metric, expected):
    history = [epoch(), epoch(loss=0.4, accuracy=0.7, auc=0.95)]
    assert metric_values(history, metric) == expected


def test_metric_values_of_an_auc_that_does_not_exist_are_refused():
    with pytest.raises(ModelError, match=r"best_by\.metric=auc: the eval split has no AUC"):
        metric_values([epoch(auc=None)], "auc")
    assert metric_values([epoch(auc=None)], "accuracy") == [0.8]


@pytest.mark.parametrize(
    ("values", "min_delta", "expected"),
    [
        ([], 0.0, 0),
        ([0.5], 0.0, 0),
        ([0.5, 0.5], 0.0, 1),
        ([0.5, 0.6, 0.55, 0.6], 0.0, 2),
        ([0.5, 0.54, 0.58], 0.05, 0),  # slow gains add up
        ([0.5, 0.54, 0.54], 0.05, 2),
        ([-2.0, -1.0, -1.5], 0.0, 1),
    ],
)
def test_epochs_without_gain_count_from_the_last_one_that_was_large_enough(values, min_delta, expected):
    assert epochs_without_gain(values, EarlyStopping(patience_epochs=1, min_delta=min_delta)) == expected


def test_class_weights_give_every_label_the_same_say():
    labels = np.array([0] * 6 + [1] * 3 + [3] * 3)
    weights = class_weights(labels, 4)
    assert weights.tolist() == pytest.approx([12 / 18, 12 / 9, 0.0, 12 / 9])
    assert weights[labels].mean() == pytest.approx(1.0)

"""What a Tuner chose, read back, put in its place, and told."""

import pytest

from components.hyperparameters import chosen_values, describe_values, set_path

CONFIG = {
    "space": [],
    "values": {
        "trainer.learning_rate": 0.012345,
        "trainer.batch_size": 32,
        "trainer.optimizer": '{"name": "adam"}',
        "trainer.ema_decay": "null",
        "trainer.border": '"black"',
        "tuner/epochs": 2,
        "tuner/trial_id": "0003",
    },
}


def test_chosen_values_reads_choices_back_and_leaves_out_hyperbands_own():
    assert chosen_values(CONFIG) == {
        "trainer.learning_rate": 0.012345,
        "trainer.batch_size": 32,
        "trainer.optimizer": {"name": "adam"},
        "trainer.ema_decay": None,
        "trainer.border": "black",
    }


def test_describe_values_is_short():
    assert describe_values(
        {"trainer.learning_rate": 0.012345, "trainer.border": "black", "trainer.ema_decay": None}
    ) == ('learning_rate=0.01235, border="black", ema_decay=null')


@pytest.mark.parametrize("tree", [{}, {"a": None}, {"a": {"b": None}}, {"a": {"b": {"d": 2}}}])
def test_set_path_makes_what_is_missing_and_keeps_the_rest(tree):
    kept = dict(((tree.get("a") or {}).get("b")) or {})
    set_path(tree, "a.b.c", 1)
    assert tree == {"a": {"b": {**kept, "c": 1}}}

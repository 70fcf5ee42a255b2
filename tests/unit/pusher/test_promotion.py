"""Channels in both stores: who may move them, and what is looked at first."""

import re
from functools import partial

import pytest

from components.errors import ReleaseError
from components.pusher import verification
from components.pusher.channels import Channel, Kind
from components.pusher.manifest import read_manifest
from components.pusher.promotion import move, promote, resolve, roll_back
from components.pusher.release import CHANNELS_NAME, MANIFEST_NAME
from components.pusher.stores import open_store
from components.pusher.verification import find_release_problems

STAGING, PRODUCTION = Channel.STAGING, Channel.PRODUCTION


@pytest.fixture
def published(store, stage):
    """Three releases, each staged in its turn."""
    releases = [stage(mark) for mark in ("one", "two", "three")]
    for staged in releases:
        store.publish(*staged)
    return releases


def held(store, model):
    channels = store.channels(model)
    return channels.held(STAGING), channels.held(PRODUCTION)


# move


def test_move_goes_only_from_what_the_caller_saw(store, published, put):
    one, two, _ = published
    assert put(store, one)
    for stale in (None, two.version):
        with pytest.raises(ReleaseError, match=f"another promotion came first: received staging={one.version}"):
            put(store, two, before=stale)
    assert held(store, one.model) == (one.version, None)
    assert put(store, two, before=one.version)
    assert [entry.version for entry in store.channels(one.model).log] == [one.version, two.version]


def test_move_to_what_the_channel_holds_changes_nothing(store, published, put):
    one = published[0]
    assert put(store, one)
    before = store.read_channels(one.model)
    assert not put(store, one, before=one.version)
    assert not put(store, one, before=None)
    assert store.read_channels(one.model) == before


def test_move_of_the_other_channel_meanwhile_is_no_hindrance(store, published, put):
    one, two, _ = published
    seen = store.channels(one.model)
    put(store, two, PRODUCTION)
    assert move(
        store, STAGING, one.version, seen=seen, expected_previous=None, kind=Kind.PUBLISH, by="test",
        manifest_sha256=store.manifest_digest(one.model, one.version),
    )  # fmt: skip
    assert held(store, one.model) == (one.version, two.version)


def test_move_to_unknown_release_is_refused(store, stage):
    staged = stage()
    store.publish(*staged)
    with pytest.raises(ReleaseError, match="no release 0123456789ab"):
        promote(store, staged.model, "0123456789ab", STAGING, by="test")
    assert store.channels(staged.model).log == ()


def test_move_of_two_at_once_50_times_one_wins_and_the_other_changes_nothing(store, published, put, race):
    base, *rivals = published
    put(store, base)
    for number in range(50):
        before = store.channels(base.model)
        codes = race(*(partial(put_alone, store.uri, put, rival, base.version) for rival in rivals))
        assert sorted(codes) == [0, 3], f"race {number}"
        winner = rivals[codes.index(0)]
        after = store.channels(base.model)
        assert after.held(STAGING) == winner.version
        assert after.log[:-1] == before.log
        put(store, base, before=winner.version)


def put_alone(uri, put, staged, before):
    # A store of its own: a connection that two processes share mixes up their answers.
    put(open_store(uri), staged, before=before)


# promote


def test_promote_puts_what_was_verified_into_the_channel_and_the_log(store, published, put):
    one, two, _ = published
    put(store, one)
    put(store, two, before=one.version)
    assert promote(store, one.model, one.version, PRODUCTION, by="somebody@somewhere")
    assert held(store, one.model) == (two.version, one.version)
    entry = store.channels(one.model).log[-1]
    assert (entry.kind, entry.channel, entry.version, entry.previous) == (Kind.PROMOTE, PRODUCTION, one.version, None)
    assert (entry.sequence, entry.by) == (3, "somebody@somewhere")
    assert not promote(store, one.model, one.version, PRODUCTION, by="somebody@somewhere")
    assert store.channels(one.model).sequence == 3


def test_promote_damaged_release_is_refused(store, published, tamper):
    one = published[0]
    tamper(f"{one.model}/{one.version}/labels.txt", b"person\nnot-person\n")
    with pytest.raises(ReleaseError, match=r"cannot be trusted: labels\.txt has sha256"):
        promote(store, one.model, one.version, PRODUCTION, by="test")
    assert held(store, one.model) == (None, None)


def test_promote_release_whose_gate_does_not_hold_is_refused(store, stage):
    staged = stage()
    manifest = read_manifest(staged.folder)
    gates = tuple(gate.model_copy(update={"value": 0.5}) for gate in manifest.gates)
    (staged.folder / MANIFEST_NAME).write_text(manifest.model_copy(update={"gates": gates}).to_json())
    store.publish(*staged)
    with pytest.raises(ReleaseError, match=r"refused by its gates: gates\.int8\.min_accuracy: 0\.5 is not >= 0\.9"):
        promote(store, staged.model, staged.version, PRODUCTION, by="test")
    assert held(store, staged.model) == (None, None)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda gates: (), "its config asks for gates.int8.min_accuracy, which was not applied"),
        (lambda gates: gates[1:], "its config asks for gates.float.min_accuracy, which was not applied"),
        (
            lambda gates: (gates[0], gates[1].model_copy(update={"limit": 0.1}), *gates[2:]),
            "gates.int8.min_accuracy was applied with the limit 0.1, its config says 0.9",
        ),
    ],
)
def test_promote_release_without_the_gates_of_its_config_is_refused(store, stage, change, problem):
    staged = stage()
    manifest = read_manifest(staged.folder)
    edited = manifest.model_copy(update={"gates": change(manifest.gates)})
    (staged.folder / MANIFEST_NAME).write_text(edited.to_json())
    store.publish(*staged)
    with pytest.raises(ReleaseError, match=re.escape(problem)):
        promote(store, staged.model, staged.version, PRODUCTION, by="test")


def test_promote_manifest_written_anew_since_it_was_staged_is_refused(store, published, put, tamper):
    one = published[0]
    put(store, one)
    better = store.read_manifest(one.model, one.version).model_copy(update={"labels": ("person", "not-person")})
    tamper(f"{one.model}/{one.version}/{MANIFEST_NAME}", better.to_json().encode())
    with pytest.raises(ReleaseError, match="instead of the promotions log's"):
        promote(store, one.model, one.version, PRODUCTION, by="test")


def test_promote_manifest_replaced_after_it_was_verified_is_refused(store, published, tamper, monkeypatch):
    one = published[0]
    other = store.read_manifest(one.model, one.version).model_copy(update={"created_utc": "2030-01-01T00:00:00Z"})

    def verify_and_replace(*arguments):
        problems = find_release_problems(*arguments)
        tamper(f"{one.model}/{one.version}/{MANIFEST_NAME}", other.to_json().encode())
        return problems

    monkeypatch.setattr(verification, "find_release_problems", verify_and_replace)
    with pytest.raises(ReleaseError, match="the manifest was replaced since it was verified"):
        promote(store, one.model, one.version, PRODUCTION, by="test")
    assert store.channels(one.model).log == ()


@pytest.mark.parametrize("junk", [b"", b"latest\n", b"\xff\x00", b"{}"])
def test_channels_that_hold_junk_are_named_and_stop_everything_but_reading(store, published, put, tamper, junk):
    one = published[0]
    put(store, one)
    tamper(f"{one.model}/{CHANNELS_NAME}", junk)
    for work in (
        lambda: store.channels(one.model),
        lambda: promote(store, one.model, one.version, PRODUCTION, by="test"),
        lambda: roll_back(store, one.model, STAGING, None, by="test"),
        lambda: resolve(store, one.model, "staging"),
        lambda: store.publish(*one),
    ):
        with pytest.raises(ReleaseError, match=rf"{one.model}/channels\.json"):
            work()
    assert len(store.list_releases()) == 3
    assert store.read_file(one.model, one.version, "labels.txt")
    assert [one.model in problem for problem in store.verify(one.model, one.version)] == [True]


# roll_back


def test_roll_back_goes_back_step_by_step_and_says_when_nothing_is_left(store, published, put):
    one, two, three = published
    for staged, before in ((one, None), (two, one.version), (three, two.version)):
        put(store, staged, before=before)
    assert roll_back(store, one.model, STAGING, None, by="test") == two.version
    assert roll_back(store, one.model, STAGING, None, by="test") == one.version
    with pytest.raises(ReleaseError, match="staging has nothing to go back to"):
        roll_back(store, one.model, STAGING, None, by="test")
    assert roll_back(store, one.model, STAGING, three.version, by="test") == three.version
    assert [entry.kind for entry in store.channels(one.model).log] == [Kind.PUBLISH] * 3 + [Kind.ROLLBACK] * 3


def test_roll_back_to_what_was_never_there_names_what_was(store, published, put):
    one, two, three = published
    put(store, one)
    put(store, two, before=one.version)
    with pytest.raises(ReleaseError, match=f"staging never held {three.version}") as caught:
        roll_back(store, one.model, STAGING, three.version, by="test")
    assert caught.value.expected == f"one of {one.version}, {two.version}"


def test_roll_back_to_a_damaged_release_is_refused(store, published, put, tamper):
    one, two, _ = published
    put(store, one)
    put(store, two, before=one.version)
    tamper(f"{one.model}/{one.version}/labels.txt", None)
    with pytest.raises(ReleaseError, match=r"cannot be trusted: labels\.txt is missing"):
        roll_back(store, one.model, STAGING, None, by="test")
    assert held(store, one.model) == (two.version, None)


# resolve


def test_resolve_takes_a_version_or_a_channel(store, published, put):
    one, two, _ = published
    put(store, one)
    put(store, two, PRODUCTION)
    assert resolve(store, one.model, "staging") == one.version
    assert resolve(store, one.model, "production") == two.version
    assert resolve(store, one.model, "0123456789ab") == "0123456789ab"


def test_resolve_empty_channel_and_other_words_are_refused(store, published):
    with pytest.raises(ReleaseError, match="nothing was promoted to production in"):
        resolve(store, published[0].model, "production")
    with pytest.raises(ReleaseError, match="not a version name: received version='latest'") as caught:
        resolve(store, published[0].model, "latest")
    assert "staging, production" in (caught.value.expected or "")

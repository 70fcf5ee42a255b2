import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ReleaseError
from components.pusher.channels import Channel, Channels, Kind, parse_channels

A, B, C, D = (letter * 12 for letter in "abcd")
STAGING, PRODUCTION = Channel.STAGING, Channel.PRODUCTION


def with_moves(*moves):
    """Channels after (kind, channel, version) of each move."""
    channels = Channels(model="m")
    for number, (kind, channel, version) in enumerate(moves):
        channels = channels.with_entry(
            kind, channel, version, by="test", manifest_sha256="0" * 64, entry_id=f"{number:032x}"
        )
    return channels


def staged(*versions):
    return [(Kind.PUBLISH, STAGING, version) for version in versions]


BUSY = with_moves(*staged(A, B), (Kind.PROMOTE, PRODUCTION, B), (Kind.ROLLBACK, STAGING, A))


def test_held_is_what_the_last_entry_of_the_channel_says():
    assert (BUSY.held(STAGING), BUSY.held(PRODUCTION)) == (A, B)
    assert [entry.previous for entry in BUSY.log] == [None, A, None, B]
    assert (BUSY.of_version(A), BUSY.of_version(B), BUSY.of_version(C)) == ((STAGING,), (PRODUCTION,), ())
    assert Channels(model="m").held(STAGING) is None


@pytest.mark.parametrize(
    ("moves", "target"),
    [
        (staged(), None),
        (staged(A), None),
        (staged(A, B), A),
        (staged(A, B, A), B),
        ([*staged(A, B), (Kind.ROLLBACK, STAGING, A)], None),
        ([*staged(A, B, C), (Kind.ROLLBACK, STAGING, B)], A),
        ([*staged(A, B, C), (Kind.ROLLBACK, STAGING, A)], None),
        ([*staged(A, B, C), (Kind.ROLLBACK, STAGING, B), (Kind.PUBLISH, STAGING, D)], B),
        ([*staged(A, B, C), (Kind.REMOVE, None, B)], A),
        ([*staged(A, B, C), (Kind.REMOVE, None, B), *staged(B, C)], B),
        ([*staged(A, B), (Kind.PROMOTE, PRODUCTION, C)], A),
    ],
)
def test_rollback_target_is_what_was_there_before_and_never_what_was_rolled_back(moves, target):
    assert with_moves(*moves).rollback_target(STAGING) == target


def test_removed_version_is_removed_until_it_is_published_again():
    channels = with_moves(*staged(A, B), (Kind.REMOVE, None, A))
    assert channels.is_removed(A)
    assert channels.is_removed(A, since=2)
    assert not channels.is_removed(A, since=3)
    assert channels.manifest_sha256(A) is None
    assert not with_moves(*staged(A, B), (Kind.REMOVE, None, A), *staged(A)).is_removed(A)


def test_removal_of_what_a_channel_holds_cannot_be_written():
    with pytest.raises(ValueError, match="removes a version that a channel holds"):
        with_moves(*staged(A), (Kind.REMOVE, None, A))


def test_channels_text_reads_back_and_is_the_same_for_the_same_log():
    text = BUSY.to_json()
    assert parse_channels(text, "m", "channels.json") == BUSY
    assert parse_channels(text, "m", "channels.json").to_json() == text


def test_log_whose_clock_runs_backwards_is_ordered_by_its_numbers():
    fields = json.loads(BUSY.to_json())
    log = [entry.model_copy(update={"utc": f"20{30 - entry.sequence}-01-01T00:00:00Z"}) for entry in BUSY.log]
    backwards = Channels(model="m", log=tuple(log))
    read = parse_channels(backwards.to_json(), "m", "channels.json")
    assert (read.held(STAGING), read.held(PRODUCTION)) == (A, B)
    assert (
        read.with_entry(Kind.PUBLISH, STAGING, C, by="test", manifest_sha256="0" * 64, entry_id="f" * 32).held(STAGING)
        == C
    )
    assert fields["log"][0]["sequence"] == 1


JUNK = ["", "{", "\0", "null", "[]", "{}", '{"format_version": 2}', '{"format_version": true}', A + "\n", "[" * 10_000]


@pytest.mark.parametrize("text", JUNK)
def test_parse_channels_junk_is_refused_with_the_way_out(text):
    with pytest.raises(ReleaseError, match=r"releases/m/channels\.json ") as caught:
        parse_channels(text, "m", "releases/m/channels.json")
    assert caught.value.hint is not None


def test_parse_channels_of_another_model_is_refused():
    with pytest.raises(ReleaseError, match="is that of m"):
        parse_channels(BUSY.to_json(), "other", "channels.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda log: log.pop(0), "expected sequence 1, received 2"),
        (lambda log: log.reverse(), "expected sequence 1"),
        (lambda log: log[1].update(previous=C), "entry 2 does not follow"),
        (lambda log: log[0].update(channel=None), "expected one unless kind=remove"),
        (lambda log: log[0].update(version="latest"), "version"),
        (lambda log: log[0].update(surprise=1), "surprise"),
    ],
)
def test_parse_channels_log_that_does_not_follow_is_refused(change, words):
    fields = json.loads(BUSY.to_json())
    change(fields["log"])
    with pytest.raises(ReleaseError, match=words):
        parse_channels(json.dumps(fields), "m", "channels.json")


@settings(max_examples=200)
@given(position=st.integers(0, len(BUSY.to_json()) - 1), byte=st.integers(0, 255))
def test_parse_channels_one_changed_byte_is_refused(position, byte):
    original = BUSY.to_json().encode()
    edited = original[:position] + bytes([byte]) + original[position + 1 :]
    if edited != original:
        with pytest.raises(ReleaseError):
            parse_channels(edited.decode(errors="replace"), "m", "channels.json")

"""Channels: which version of a model is staged and which is in production, and how that came.

`channels.json` holds one list, the promotions log, and nothing else: a channel holds what the last entry about it
says, so that pointer and log cannot disagree. Entries are only ever added, by compare-and-swap on the whole file.
Their order is their sequence number. Times are information for people; a clock that runs backwards changes nothing.
"""

import json
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from components.errors import ReleaseError
from components.options import Options
from components.pusher.release import Sha256, Version
from components.pusher.sealed import check_seal, read_fields, render_sealed

CHANNELS_FORMAT_VERSION = 1

_DAMAGED = (
    "restore it from a backup or from an older generation of the object; or delete it and promote again, which "
    "starts a new log, from which `vww releases gc` then knows the order of releases, and of others by their "
    "manifests' times only. Releases are not affected: `vww releases verify MODEL VERSION`"
)


class Channel(StrEnum):
    """What a consumer follows: the newest release that passed its gates, or the one that a person chose."""

    STAGING = "staging"
    PRODUCTION = "production"


class Kind(StrEnum):
    """Why an entry was written."""

    PUBLISH = "publish"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    REMOVE = "remove"


class LogEntry(Options):
    """One line of the promotions log.

    Attributes:
      sequence: 1 for the first.
      id: random, by which a writer whose answer was lost knows its own entry.
      utc: when it was written, by the writer's clock, such as `2026-11-22T03:04:05Z`.
      kind: why.
      channel: which channel was moved; None for the removal of a release.
      version: what it holds since; what was removed.
      previous: what it held before; None where it held nothing, and for a removal.
      by: who did it: `run <id>` or `<user>@<host>`.
      manifest_sha256: of the `manifest.json` that the version had.
    """

    sequence: int = Field(ge=1)
    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    utc: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    kind: Kind
    channel: Channel | None
    version: Version
    previous: Version | None
    by: str
    manifest_sha256: Sha256

    @model_validator(mode="after")
    def _removals_have_no_channel(self) -> Self:
        if (self.kind is Kind.REMOVE) != (self.channel is None):
            raise ValueError(f"channel: expected one unless kind={Kind.REMOVE}, received {self.channel}")
        return self


class Channels(Options):
    """The content of `channels.json`; an empty log stands for a file that is not there.

    Attributes:
      format_version: of this record; another number is refused by name.
      model: whose channels.
      log: oldest first.
    """

    format_version: int = CHANNELS_FORMAT_VERSION
    model: str
    log: tuple[LogEntry, ...] = ()

    @model_validator(mode="after")
    def _log_is_whole(self) -> Self:
        held: dict[Channel, str] = {}
        for number, entry in enumerate(self.log, start=1):
            if entry.sequence != number:
                raise ValueError(f"log: expected sequence {number}, received {entry.sequence}")
            if entry.channel is not None:
                if entry.previous != held.get(entry.channel):
                    raise ValueError(f"log: entry {number} does not follow from what {entry.channel} held before")
                held[entry.channel] = entry.version
            elif entry.version in held.values():
                raise ValueError(f"log: entry {number} removes a version that a channel holds")
        return self

    @property
    def sequence(self) -> int:
        """Number of the last entry; 0 for an empty log."""
        return len(self.log)

    def held(self, channel: Channel) -> str | None:
        """The version that a channel holds; None where nothing was put into it."""
        return next((entry.version for entry in reversed(self.log) if entry.channel is channel), None)

    def of_version(self, version: str) -> tuple[Channel, ...]:
        """The channels that hold a version."""
        return tuple(channel for channel in Channel if self.held(channel) == version)

    def has(self, entry_id: str) -> bool:
        """Whether an entry was written."""
        return any(entry.id == entry_id for entry in self.log)

    def last_entry(self, version: str) -> LogEntry | None:
        """The last entry about a version; None where there is none."""
        return next((entry for entry in reversed(self.log) if entry.version == version), None)

    def is_removed(self, version: str, since: int = 0) -> bool:
        """Whether a version's last entry, of those after sequence number `since`, is its removal."""
        last = self.last_entry(version)
        return last is not None and last.kind is Kind.REMOVE and last.sequence > since

    def manifest_sha256(self, version: str) -> str | None:
        """Digest of the manifest that a version had when it was put into a channel; None where it is in no entry."""
        last = self.last_entry(version)
        return None if last is None or last.kind is Kind.REMOVE else last.manifest_sha256

    def rollback_target(self, channel: Channel) -> str | None:
        """What the channel held before its version came, as if what was rolled back had never been in it.

        After A, B, C and a rollback to B, the next one goes to A and not forth to C. Removed versions are passed
        over; None where nothing is left.
        """
        past: list[str] = []
        for entry in self.log:
            if entry.channel is channel:
                if entry.kind is Kind.ROLLBACK and entry.version in past:
                    while past[-1] != entry.version:
                        past.pop()
                else:
                    past.append(entry.version)
        return next((v for v in reversed(past[:-1]) if v != past[-1] and not self.is_removed(v)), None)

    def with_entry(
        self,
        kind: Kind,
        channel: Channel | None,
        version: str,
        *,
        by: str,
        manifest_sha256: str,
        entry_id: str,
    ) -> "Channels":
        """These channels after one more entry."""
        entry = LogEntry(
            sequence=self.sequence + 1,
            id=entry_id,
            utc=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            kind=kind,
            channel=channel,
            version=version,
            previous=None if channel is None else self.held(channel),
            by=by,
            manifest_sha256=manifest_sha256,
        )
        return Channels(model=self.model, log=(*self.log, entry))

    def to_json(self) -> str:
        """The text of `channels.json`."""
        return render_sealed(self.model_dump(mode="json"))


def new_entry_id() -> str:
    """An id that no other entry has."""
    return uuid.uuid4().hex


def parse_channels(text: str, model: str, source: str) -> Channels:
    """The typed form of a `channels.json`.

    Args:
      text: its content.
      model: whose it has to be.
      source: where it was read from, for the message.

    Raises:
      ReleaseError: if it is no JSON, of another format version, edited, or of another model.
    """
    fields = read_fields(text, source, format_version=CHANNELS_FORMAT_VERSION, hint=_DAMAGED)
    try:
        channels = Channels.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReleaseError(f"{source} is no promotions log: {where}: {first['msg']}", hint=_DAMAGED) from error
    check_seal(text, channels.to_json(), source, hint=_DAMAGED)
    if channels.model != model:
        raise ReleaseError(f"{source} is that of {channels.model}", expected=f"model={model}", hint=_DAMAGED)
    return channels

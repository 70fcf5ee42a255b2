"""What `vww releases rebuild` asks of its child process, and what it hears back."""

from components.options import Options


class RebuildRequest(Options):
    """What to rebuild: a folder with a whole release, such as `ReleaseStore.fetch` makes."""

    folder: str


class RebuiltFile(Options):
    """One file of a release beside what was made again.

    Attributes:
      path: of the file in the release.
      released_bytes: length of the flatbuffer in it.
      rebuilt_bytes: length of the flatbuffer that was made again.
      differences: what differs, a sentence each; empty where they are equal to the byte.
    """

    path: str
    released_bytes: int
    rebuilt_bytes: int
    differences: tuple[str, ...]


class OtherVersion(Options):
    """A package that is here in another version than when the release was made; None where it is not installed."""

    package: str
    released: str
    here: str | None


class Rebuild(Options):
    """What became of a rebuild.

    Attributes:
      files: the flatbuffer as converted, the slim one, and the C array.
      other_versions: the packages that could explain a difference.
    """

    files: tuple[RebuiltFile, ...]
    other_versions: tuple[OtherVersion, ...]

"""Everything that is looked at before a release is trusted: the one list behind verify, promote and rollback."""

from typing import TYPE_CHECKING

from components.errors import ModelError, ReleaseError
from components.pusher.manifest import Manifest
from components.pusher.release import CONFIG_NAME
from components.pusher.release_store import ReleaseStore
from components.pusher.required_gates import find_gate_problems

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

GOLDEN_TIME_LIMIT_S = 60.0


def find_release_problems(
    store: ReleaseStore, model: str, version: str, trusted: tuple["SSlibKey", ...] = ()
) -> list[str]:
    """What is wrong with a release: its files, its gates, where it came from, what its flatbuffer answers.

    Args:
      store: where it is.
      model: its folder.
      version: its folder below that.
      trusted: keys of which one must have signed it; empty asks for none.

    Returns:
      One sentence for every problem; empty where all is well. What can only be asked of whole files is not asked
      of damaged ones, and the last sentence says so.

    Raises:
      ReleaseError: if there is no such release.
    """
    from components.pusher.provenance.side_files import find_provenance_problems

    problems = store.verify(model, version)
    if problems:
        return [*problems, "its gates, statement, signature and golden vectors were not looked at"]
    manifest = store.read_manifest(model, version)
    return [
        *verify_gates(store, manifest),
        *find_provenance_problems(store, manifest, trusted),
        *verify_golden(store, manifest),
    ]


def check_release(store: ReleaseStore, model: str, version: str, trusted: tuple["SSlibKey", ...] = ()) -> str:
    """The digest of the manifest of a release of which nothing is wrong.

    It is taken before anything is looked at, so that whoever goes by it notices a manifest that is replaced meanwhile.

    Raises:
      ReleaseError: naming everything that is wrong.
    """
    digest = store.manifest_digest(model, version)
    refuse_problems(store.release_uri(model, version), find_release_problems(store, model, version, trusted))
    return digest


def refuse_problems(uri: str, problems: list[str]) -> None:
    """Raises ReleaseError, naming all problems of the release at `uri`, if there are any."""
    if problems:
        raise ReleaseError(
            f"{uri} cannot be trusted: " + "; ".join(problems),
            expected="every file as it was published, every gate passed, every golden vector answered as before",
            hint="do not ship it; use another release, or run the pipeline again",
        )


def verify_gates(store: ReleaseStore, manifest: Manifest) -> list[str]:
    """Holds the gates of the manifest against the release's own config, and every value against its limit again."""
    config = store.read_file(manifest.model, manifest.version, CONFIG_NAME).decode(errors="replace")
    return find_gate_problems(manifest.gates, config)


def verify_golden(store: ReleaseStore, manifest: Manifest) -> list[str]:
    """Runs the flatbuffer of a release under TFLite Micro on the release's golden vectors.

    Returns:
      One sentence for every vector that is answered otherwise, or one that says why there are no answers; empty
      where all is well.

    Raises:
      ReleaseError: if a file is not there.
    """
    from components.quantization.golden import Golden, rerun_golden  # NumPy takes a while

    def read_file(path: str) -> bytes:
        return store.read_file(manifest.model, manifest.version, path)

    try:
        golden = Golden.from_files(manifest.golden.source_ids, manifest.golden.labels, len(manifest.outputs), read_file)
        return rerun_golden(read_file(manifest.golden.flatbuffer), golden, time_limit_s=GOLDEN_TIME_LIMIT_S)
    except ModelError as error:
        return [f"the golden vectors cannot be run: {error.message}"]

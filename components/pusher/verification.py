"""Asks a release's flatbuffer its golden vectors again."""

from components.errors import ModelError
from components.pusher.manifest import Manifest
from components.pusher.release_store import ReleaseStore
from components.quantization.golden import Golden, rerun_golden


def verify_golden(store: ReleaseStore, manifest: Manifest, *, time_limit_s: float) -> list[str]:
    """Runs the flatbuffer of a release under TFLite Micro on the release's golden vectors.

    Returns:
      One sentence for every vector that is answered otherwise, or one that says why there are no answers; empty
      where all is well.

    Raises:
      ReleaseError: if a file is not there.
    """

    def read_file(path: str) -> bytes:
        return store.read_file(manifest.model, manifest.version, path)

    try:
        golden = Golden.from_files(manifest.golden.source_ids, manifest.golden.labels, read_file)
        return rerun_golden(read_file(manifest.golden.flatbuffer), golden, time_limit_s=time_limit_s)
    except ModelError as error:
        return [f"the golden vectors cannot be run: {error.message}"]

"""Settings of the MicroPusher: the config section `release`, and which code runs."""

from pydantic import Field

from components.detection.options import DecoderOptions
from components.options import Options
from components.pusher.c_bundle.c_names import BUNDLE_NAME
from components.pusher.release import Sha256


class ReleaseOptions(Options):
    """Where a release goes, what its C symbols are called, and how it is checked.

    Attributes:
      uri: a folder or `gs://bucket/prefix` that holds releases; None for `releases` below `run.root`.
      c_name: stem of the C files and symbols: `g_<c_name>_model_data`.
      calibration_images: training images that calibrate the quantization.
      parity_images: eval images that are run under TFLite Micro and the reference kernels alike.
      max_false_alarm_rate: of the operating point, the share of the eval images without the positive label that may be
        reported; None reports what has more than a probability of a half. Of a detector, how many false detections each
        eval image may have on average; None takes the score with the best F1 at IoU 0.5.
      golden_images: eval images whose answers go along, to check any copy of the model by; at least one a label.
      arena_margin_bytes: added to the measured tensor arena in the C bundle.
      decoder: of a detector, from the model's outputs to detections.
      tflm_time_limit_s: without one more finished image, after which TFLite Micro counts as hung.
      signing_key: PEM file of the Ed25519 private key that signs releases; None leaves them unsigned.
      trusted_keys: PEM files of the public keys, one of which must have signed the released model and what this run
        releases; none asks nothing.
    """

    uri: str | None = None
    c_name: str = Field(default="person_detect", pattern=f"^{BUNDLE_NAME}$", max_length=64)
    calibration_images: int = Field(default=300, ge=2)
    parity_images: int = Field(default=100, ge=1)
    max_false_alarm_rate: float | None = Field(default=None, ge=0, lt=1)
    golden_images: int = Field(default=8, ge=8, le=256)
    arena_margin_bytes: int = Field(default=4096, ge=0)
    decoder: DecoderOptions = DecoderOptions()
    tflm_time_limit_s: float = Field(default=300.0, gt=0)
    signing_key: str | None = None
    trusted_keys: tuple[str, ...] = ()


class CodeVersion(Options):
    """Which code runs.

    Attributes:
      version: of the package.
      commit: of the checkout it runs from; None outside one.
      dirty: whether that checkout has uncommitted changes; None outside one.
      repository: where that checkout was cloned from, without credentials; None where that is no web address.
      lock_sha256: of its `uv.lock`; None outside of a checkout.
    """

    version: str
    commit: str | None
    dirty: bool | None
    repository: str | None
    lock_sha256: Sha256 | None

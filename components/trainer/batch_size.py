"""Refuses more images in a batch than there are to train on."""

from components.errors import ConfigError


def check_batch_size(batch_size: int, count: int) -> None:
    """Checks that a split has images for one batch.

    Raises:
      ConfigError: if not.
    """
    if batch_size > count:
        raise ConfigError(
            f"trainer.batch_size={batch_size} is more than the {count:,} images of the train split",
            expected="at least one whole batch of training images",
            hint=f"--set trainer.batch_size={max(count // 4, 1)}, or more images",
        )

"""What is known of a set of examples, beside the examples: `dataset.json`, read by every later stage.

<examples artifact>/
  Split-train/data_tfrecord-00000-of-00001   serialized tf.train.Example, see components.features
  Split-eval/data_tfrecord-00000-of-00001
  dataset.json                               a DatasetSummary
  Split-test/...                             where there is a test split
  quarantine.jsonl                           one line for every record that was left out, with its reason
"""

from components.options import Options

SUMMARY_FILE = "dataset.json"
QUARANTINE_FILE = "quarantine.jsonl"


class BoxCounts(Options):
    """Labelled boxes of a detector's examples.

    Attributes:
      labels: boxes per split and label name, crowds aside.
      crowds: boxes around many, per split.
      per_image: for each split, (n, m) for m images with n boxes, crowds included.
      clipped: boxes per split that reached beyond their image by more than a pixel, and were cut off; crowds included.
    """

    labels: dict[str, dict[str, int]]
    crowds: dict[str, int]
    per_image: dict[str, tuple[tuple[int, int], ...]]
    clipped: dict[str, int]

    @property
    def total(self) -> int:
        """Boxes of all splits and labels, crowds included."""
        return sum(sum(by_label.values()) for by_label in self.labels.values()) + sum(self.crowds.values())

    @property
    def clipped_in_all(self) -> int:
        """Clipped boxes of all splits."""
        return sum(self.clipped.values())

    def beyond(self, split: str, max_boxes: int) -> tuple[int, int]:
        """How many images of a split have more boxes than that, and how many boxes are too many in all."""
        crowded = [(boxes - max_boxes, images) for boxes, images in self.per_image[split] if boxes > max_boxes]
        return sum(images for _, images in crowded), sum(boxes * images for boxes, images in crowded)


class DatasetSummary(Options):
    """Counts, labels and identity of one set of examples.

    Attributes:
      label_names: name of each label, by label id.
      positive: the label that the others are the rest of, such as "person"; None where no label is special.
      label_rule: id of the labelling rule.
      label_rule_version: version of that rule.
      label_rule_digest: SHA-256 of the rule's parameters.
      label_rule_in_words: what the rule asks.
      counts: examples per split and label name.
      digest: order-free SHA-256 sum over all examples and their splits.
      fingerprint: SHA-256 over the annotations file and the images' names, sizes and times.
      quarantined: bad records that were left out, by reason.
      dropped: good images that were left out on purpose, by reason.
      reencoded: images that were re-encoded because TensorFlow could not have decoded them.
      split_digest: order-free SHA-256 sum over every image's id and split.
      licenses: of the images and annotations, as the config states them.
      boxes: of a detector; None where labels are of images.
      exif_ignored: images that EXIF turns on screens, written as they are stored, since their annotations state sizes.
    """

    label_names: tuple[str, ...]
    positive: str | None
    label_rule: str
    label_rule_version: int
    label_rule_digest: str
    label_rule_in_words: str
    counts: dict[str, dict[str, int]]
    digest: str
    fingerprint: str
    quarantined: dict[str, int]
    dropped: dict[str, int]
    reencoded: int
    split_digest: str
    licenses: tuple[str, ...]
    boxes: BoxCounts | None = None
    exif_ignored: int = 0

    def write(self, examples_uri: str) -> None:
        """Writes `dataset.json` below an examples artifact."""
        from tensorflow.io import gfile

        with gfile.GFile(f"{examples_uri}/{SUMMARY_FILE}", "w") as file:
            file.write(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, examples_uri: str) -> "DatasetSummary":
        """Reads what `write` wrote."""
        from tensorflow.io import gfile

        with gfile.GFile(f"{examples_uri}/{SUMMARY_FILE}") as file:
            return cls.from_json(file.read())

"""Executor of CocoExampleGen."""

from collections import Counter
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from tensorflow.io import gfile
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components import progress
from components.dataset import QUARANTINE_FILE, BoxCounts, DatasetSummary
from components.example_gen.options import ExampleGenOptions
from components.example_gen.plan import DatasetPlan, check_splits, count_label_boxes, plan_dataset
from components.example_gen.quarantine import Quarantined, check_quarantine, render_quarantine
from components.example_gen.shards import cut_shards
from components.example_gen.transforms import ShardSummary, WriteExamples, read_summary, write_shards, write_summary


class Executor(BaseBeamExecutor):  # type: ignore[misc]  # TFX publishes no types
    """Labels, splits and writes one COCO set as TFRecords of `tf.train.Example`."""

    def Do(  # noqa: N802  # TFX's name
        self,
        input_dict: dict[str, Any],  # noqa: ARG002
        output_dict: dict[str, Any],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the artifact that `components.dataset` shows.

        Raises:
          DataError: if the set cannot be used, or if too much of it had to be quarantined.
        """
        options = ExampleGenOptions.from_json(exec_properties["options"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        plan = plan_dataset(options, lambda done, total: progress.report(done, total, "images looked at"))
        written = self._write(plan, options, examples.uri)
        quarantined = (*plan.quarantined, *written.quarantined)
        check_quarantine(
            quarantined,
            image_count=plan.image_count,
            annotation_count=plan.annotation_count,
            limit=options.max_quarantined_fraction,
        )
        summary = _summarize(plan, written, quarantined, options)
        check_splits(
            {split: tuple(by_label.values()) for split, by_label in summary.counts.items()},
            summary.boxes,
            label_names=plan.label_names,
            quarantined=quarantined,
            dropped=plan.dropped,
        )
        if summary.exif_ignored:
            progress.say(
                f"{summary.exif_ignored:,} images that EXIF turns are taken as stored, as COCO's are; if their boxes"
                " were drawn on the turned ones, turn the pixels (docs/data.md)"
            )
        summary.write(examples.uri)
        with gfile.GFile(f"{examples.uri}/{QUARANTINE_FILE}", "w") as file:
            file.write(render_quarantine(quarantined, plan.dropped))
        examples.span = 0
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples.split_names = artifact_utils.encode_split_names(sorted(summary.counts))
        for key in ("digest", "split_digest", "fingerprint", "label_rule", "label_rule_digest"):
            examples.set_string_custom_property(key, getattr(summary, key))

    def _write(self, plan: DatasetPlan, options: ExampleGenOptions, uri: str) -> ShardSummary:
        # Below the output and not in the step's temporary folder, which workers elsewhere may not reach.
        temporary = f"{uri}/.temp"
        summary_path = f"{temporary}/written"
        shards = write_shards(cut_shards(plan.records, seed=options.split_seed), f"{temporary}/shards")
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Shards" >> beam.Create(shards, reshuffle=False)
                | "WriteExamples"
                >> WriteExamples(
                    uri, plan.label_names, len(plan.records), dict(plan.inventory.category_ids), plan.rule.parameters
                )
                | "WriteSummary" >> beam.Map(write_summary, summary_path)
            )
        written = read_summary(summary_path)
        FileSystems.delete([temporary])
        return written


def _summarize(
    plan: DatasetPlan, written: ShardSummary, quarantined: tuple[Quarantined, ...], options: ExampleGenOptions
) -> DatasetSummary:
    return DatasetSummary(
        label_names=plan.label_names,
        positive=plan.positive,
        label_rule=plan.rule.id,
        label_rule_version=plan.rule.version,
        label_rule_digest=plan.rule.digest(),
        label_rule_in_words=plan.rule.in_words(),
        counts={
            split: {name: written.counts.get(split, {}).get(name, 0) for name in plan.label_names}
            for split in plan.counts
        },
        digest=f"{written.digest:064x}",
        fingerprint=plan.fingerprint,
        quarantined=dict(Counter(str(entry.reason) for entry in quarantined)),
        dropped=dict(Counter(str(entry.reason) for entry in plan.dropped)),
        reencoded=written.reencoded,
        split_digest=f"{written.split_digest:064x}",
        licenses=options.licenses,
        boxes=None if options.boxes is None else _count_written_boxes(plan, written),
        exif_ignored=written.exif_ignored,
    )


def _count_written_boxes(plan: DatasetPlan, written: ShardSummary) -> BoxCounts:
    left_out = {entry.id for entry in written.quarantined}
    return count_label_boxes(
        (image for image in plan.records if image.record.source_id not in left_out), plan.inventory
    )

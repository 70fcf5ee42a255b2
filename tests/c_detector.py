"""Runs a bundle's `<name>_detect.c` on this machine, over the int8 outputs of as many images as wanted.

So the boxes of the very C code that ships can be held against the Python decoder's, and a split's AP be measured
through it.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.detection.detections import Detections
from components.detection.fixed_decoder import Codes, FixedDetections
from components.pusher.c_bundle.c_names import camel_name

WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow")

# Reads the codes of one image after the other until there are no more; the detections stand in memory of exactly their
# size, and nothing that the workspace holds before means anything.
_PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "{name}_detect.h"

enum {{ kOutputs = {outputs} }};
static const size_t kSizes[kOutputs] = {{{sizes}}};

int main(int argc, char** argv) {{
  static {camel}Workspace workspace;
  int8_t* codes[kOutputs];
  const int8_t* boxes[kOutputs / 2];
  const int8_t* scores[kOutputs / 2];
  if (argc != 3) return 1;
  const uint16_t min_score = (uint16_t)atoi(argv[1]);
  const int capacity = atoi(argv[2]);
  VwwDetection* found = malloc((size_t)capacity * sizeof(VwwDetection));
  for (int i = 0; i < kOutputs; ++i) {{
    codes[i] = malloc(kSizes[i]);
    *(i % 2 == 0 ? &boxes[i / 2] : &scores[i / 2]) = codes[i];
  }}
  for (;;) {{
    for (int i = 0; i < kOutputs; ++i) {{
      if (fread(codes[i], 1, kSizes[i], stdin) != kSizes[i]) {{
        for (int j = 0; j < kOutputs; ++j) free(codes[j]);
        free(found);
        return i;
      }}
    }}
    memset(&workspace, 0xa5, sizeof(workspace));
    const int32_t count = {name}_detect({arguments}, min_score, found, capacity, &workspace);
    fwrite(&count, sizeof(count), 1, stdout);
    fwrite(found, sizeof(VwwDetection), (size_t)count, stdout);
  }}
}}
"""
_COUNT = np.dtype("<i4")
_DETECTION = np.dtype([("box", "<u2", 4), ("score", "<u2"), ("label", "<u2")])


@dataclass(frozen=True)
class CDetector:
    """A compiled `<name>_detect.c`.

    Attributes:
      program: reads codes, writes detections.
    """

    program: Path

    def detect(self, outputs: Sequence[Codes], min_score: int, capacity: int) -> list[FixedDetections]:
        """What it finds in each image.

        Args:
          outputs: int8 [n, anchors, 4] and [n, anchors, labels] in turn, as TFLite Micro answers.
          min_score: in Q15.
          capacity: of detections.
        """
        flat = np.concatenate([codes.reshape(len(codes), -1) for codes in outputs], axis=1)
        command = [self.program, str(min_score), str(capacity)]
        data = subprocess.run(command, input=flat.tobytes(), check=True, capture_output=True).stdout
        found, start = [], 0
        for _ in range(len(flat)):
            (count,) = np.frombuffer(data, _COUNT, 1, start)
            start += _COUNT.itemsize
            found.append(_read(np.frombuffer(data, _DETECTION, count, start)))
            start += count * _DETECTION.itemsize
        assert start == len(data)
        return found

    def decode_all(self, outputs: Sequence[Codes], min_score: int, capacity: int) -> list[Detections]:
        """`detect` in floating point, as `FixedDecoder.decode_all` gives it."""
        return [each.to_float() for each in self.detect(outputs, min_score, capacity)]


def compile_detector(bundle: Path, name: str, outputs: Sequence[Codes], target: Path, *flags: str) -> CDetector:
    """Compiles the detector of a bundle, or of a release, with every warning an error.

    Args:
      bundle: folder with `<name>_detect.c`.
      name: of the bundle, as `release.c_name` says.
      outputs: of which only the shapes count; see `CDetector.detect`.
      target: folder that the program is written to.
      flags: more of gcc's, such as `-fsanitize=undefined`.
    """
    target.mkdir(parents=True, exist_ok=True)
    main = target / "main.c"
    main.write_text(
        _PROGRAM.format(
            name=name,
            camel=camel_name(name),
            outputs=len(outputs),
            sizes=", ".join(str(codes[0].size) for codes in outputs),
            arguments="boxes, scores" if len(outputs) > 2 else "boxes[0], scores[0]",
        )
    )
    command = ["gcc", *WARNINGS, *(flags or ("-O2",)), "-I", bundle, main, bundle / f"{name}_detect.c"]
    subprocess.run([*command, "-o", target / "detect"], check=True)
    return CDetector(target / "detect")


def _read(rows: np.ndarray) -> FixedDetections:
    box, score, label = (rows[field].astype(np.int64) for field in ("box", "score", "label"))
    return FixedDetections(box, score, label + 1)

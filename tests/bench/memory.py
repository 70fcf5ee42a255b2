"""Peak memory of CocoExampleGen, in a process of its own: `python -m tests.bench.memory ANNOTATIONS IMAGES ROOT`."""

import resource
import subprocess
import sys
from pathlib import Path


def peak_mib(annotations: Path, images: Path, root: Path) -> float:
    """MiB that a process holds at most while it runs the node."""
    arguments = [sys.executable, "-m", "tests.bench.memory", str(annotations), str(images), str(root)]
    done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return float(done.stdout)


def main() -> None:
    """Runs the node once."""
    from tests.bench.nodes import run_node

    annotations, images, root = map(Path, sys.argv[1:])
    run_node("CocoExampleGen", annotations, images, root, measure=lambda work: work() or 0.0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()

"""What a compiled pipeline cannot know: its steps find it out where they run.

`vww run` looks at the data and the release store, and hands what it found to the nodes, whose caches depend on it. A
pipeline for a cluster is compiled where neither may be in reach, and runs later, and more than once.
"""

from typing import Literal

InStep = Literal["found out in the step"]

# In place of a fact: whoever needs it finds it out.
IN_STEP: InStep = "found out in the step"

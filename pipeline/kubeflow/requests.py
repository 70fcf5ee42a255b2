"""What `vww compile` asks of the child process that has TFX, and what it gets."""

from components.options import Options
from pipeline.config import RunConfig
from pipeline.kubeflow.options import Target


class CompileRequest(Options):
    """What is to be compiled.

    Attributes:
      config: the run.
      target: what will run it.
    """

    config: RunConfig
    target: Target


class CompiledPipeline(Options):
    """What was compiled.

    Attributes:
      text: the file's content.
      tasks: names of the pipeline's tasks.
      parameters: names of what a run may set anew.
    """

    text: str
    tasks: tuple[str, ...]
    parameters: tuple[str, ...]

"""The process that measures for `vww budget`: TensorFlow's chatter and crashes stay away from the command.

python -m pipeline.budget_worker EVENTS_FD        the request, a `BudgetJob`, comes on standard input
"""

import logging
import sys

from components import progress
from components.errors import ModelError, VwwError
from components.trainer.budget import BudgetJob
from pipeline.events import Failed, Measured, Ready
from pipeline.worker import Events, die_with_parent


def main() -> None:
    """Imports TensorFlow, measures, tells."""
    die_with_parent()
    events = Events(int(sys.argv[1]))
    try:
        from components.trainer.footprint import measure_budget  # takes about 10 s

        events.send(Ready())
        progress.listen(events.report)
        events.send(Measured(budget=measure_budget(BudgetJob.from_json(sys.stdin.read()))))
    except VwwError as error:
        events.send(Failed(node=None, error=error.to_json()))
    except Exception as error:  # whatever it was, the command reports it
        logging.exception("the measurement stopped")
        failure = ModelError(
            f"the model cannot be measured: {type(error).__name__}: {error}",
            expected="a model that TensorFlow builds and converts",
        )
        events.send(Failed(node=None, error=failure.to_json()))


if __name__ == "__main__":
    main()

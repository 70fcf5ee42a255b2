"""Workers for a Beam runner that takes them from a pool (`beam.worker_pool`), such as a sidecar of Flink's.

    python -m pipeline.beam_workers --port 50000        serves, and writes HOST:PORT to standard output

Beam's own pool starts workers that import TFX when their work needs it, in several threads at once, of which one may
see it half imported. These have imported it before they take any work.
"""

import argparse
import importlib
import signal
import subprocess
import sys
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker.sdk_worker import SdkHarness
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from pipeline.beam import WORK


class WorkerPool(BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]  # Beam publishes no types of it
    """Beam's pool; each worker is a process of this module."""

    def StartWorker(  # noqa: N802  # Beam's name
        self,
        start_worker_request: beam_fn_api_pb2.StartWorkerRequest,
        unused_context: Any,  # noqa: ARG002
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Starts a worker that a runner asks for."""
        name, control = start_worker_request.worker_id, start_worker_request.control_endpoint.url
        try:
            self._worker_processes[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", __spec__.name, "--worker", name, "--control", control]
            )
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=str(error))
        return beam_fn_api_pb2.StartWorkerResponse()


def main() -> None:
    """Serves, or is one of the workers."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.beam_workers")
    parser.add_argument("--port", type=int, default=50000, help="where the runner asks for workers; 0 takes a free one")
    parser.add_argument("--worker", metavar="ID", help="be one worker; the pool starts them")
    parser.add_argument("--control", metavar="HOST:PORT", help="of the runner, for a worker")
    args = parser.parse_args()
    if args.worker is not None:
        importlib.import_module(WORK)
        SdkHarness(args.control, worker_id=args.worker).run()
        return
    address, server = WorkerPool.start(port=args.port)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # which ends the workers, too
    server.wait_for_termination()


if __name__ == "__main__":
    main()

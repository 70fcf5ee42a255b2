"""LocalRunner: TFX's LocalDagRunner, one node at a time, so that its caller can tell how far it is."""

import logging
import shutil
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib


class LocalRunner:
    """Runs a pipeline's nodes in this process, in topological order.

    Args:
      run_id: of this run, in ML Metadata.
    """

    def __init__(self, pipeline_definition: pipeline.Pipeline, run_id: str) -> None:
        self._ir = compiler.Compiler().compile(pipeline_definition)
        runtime_parameter_utils.substitute_runtime_parameter(
            self._ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        self._deployment = runner_utils.extract_local_deployment_config(self._ir)
        connection = self._deployment.metadata_connection_config
        self._metadata = metadata.Metadata(getattr(connection, connection.WhichOneof("connection_config")))
        self._nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in self._ir.nodes}
        self._execution_ids: dict[str, int] = {}

    @property
    def nodes(self) -> list[str]:
        """Ids of the nodes, in the order in which they have to be launched."""
        return list(self._nodes)

    def forget_interrupted(self) -> None:
        """Marks what an earlier, killed run left behind as failed, and deletes what it had half written."""
        root = Path(self._ir.runtime_spec.pipeline_root.field_value.string_value)
        with self._metadata as handle:
            store = handle.store
            stale = [
                execution
                for execution in store.get_executions()
                if execution.last_known_state
                in (metadata_store_pb2.Execution.RUNNING, metadata_store_pb2.Execution.NEW)
            ]
            for execution in stale:
                logging.info("execution %d (%s) was interrupted", execution.id, execution.type)
                execution.last_known_state = metadata_store_pb2.Execution.FAILED
                for folder in (*root.glob(f"*/*/{execution.id}"), *root.glob(f"*/.system/*/{execution.id}")):
                    shutil.rmtree(folder)
            if stale:
                store.put_executions(stale)

    def launch(self, node: str) -> bool:
        """Runs one node; returns whether an earlier run's result still held."""
        execution_info = launcher.Launcher(
            pipeline_node=self._nodes[node],
            mlmd_connection=self._metadata,
            pipeline_info=self._ir.pipeline_info,
            pipeline_runtime_spec=self._ir.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(self._deployment, node),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(self._deployment, node),
        ).launch()
        self._execution_ids[node] = execution_info.execution_id
        with self._metadata as handle:
            (execution,) = handle.store.get_executions_by_id([execution_info.execution_id])
        return bool(execution.last_known_state == metadata_store_pb2.Execution.CACHED)

    def output_uri(self, node: str, key: str) -> str:
        """Where a launched node's output lies, be it of this run or of the one that was cached."""
        with self._metadata as handle:
            outputs: Any = execution_lib.get_output_artifacts(handle, self._execution_ids[node])
        (artifact,) = outputs[key]
        return str(artifact.uri)

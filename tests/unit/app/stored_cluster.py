"""A cluster in a memory store, for commands that read one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from contract.rows import FOREVER, commit_all, message, node, task, timer, transition
from temporalio.api.common.v1 import message_pb2 as common
from temporalio.api.enums.v1 import event_type_pb2 as events
from temporalio.api.enums.v1 import workflow_pb2 as enums
from temporalio.api.failure.v1.message_pb2 import Failure
from temporalio.api.history.v1.message_pb2 import History, HistoryEvent

from perdure.app.reading import Opened
from perdure.config.static import Store as StoreConfig
from perdure.core.commit import HistoryBatch, ItemKey, ItemKind, RunKey, RunWrite
from perdure.core.slots import slot_of
from perdure.persistence.memory import MemoryStore
from perdure.persistence.ports import NamespaceRow, NodeState
from perdure.proto import stored_pb2 as stored
from perdure.runtime.deterministic import ManualClock, SeededIds

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
NAMESPACE_ID = "7a3c1a58-53e4-4a3f-8f70-3a2c6b1a9f00"
WORKFLOW_ID = "order-[red]1"
SLOT = slot_of(NAMESPACE_ID, WORKFLOW_ID)
RUN = RunKey(NAMESPACE_ID, WORKFLOW_ID, "run-1")
SECRET = b'"ACME"'

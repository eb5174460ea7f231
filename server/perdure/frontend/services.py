"""The frontend as a whole: every handler, by what clients call."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from google.protobuf.descriptor import ServiceDescriptor

from perdure.frontend.activities_by_id import ActivitiesById
from perdure.frontend.activity_operations import ActivityOperations
from perdure.frontend.activity_tasks import ActivityTasks
from perdure.frontend.gates import NamespaceGate, TokenGate
from perdure.frontend.listings import Listings
from perdure.frontend.long_polls import LongPolls
from perdure.frontend.namespaces import Namespaces
from perdure.frontend.queries import Queries
from perdure.frontend.retired import Retired
from perdure.frontend.schedule_listings import ScheduleListings
from perdure.frontend.schedules import Schedules
from perdure.frontend.search_attributes import SearchAttributes
from perdure.frontend.settings import FrontendSettings
from perdure.frontend.starts import Starts
from perdure.frontend.system import ClusterInfo, System
from perdure.frontend.task_queues import TaskQueues
from perdure.frontend.updates import Updates
from perdure.frontend.workers import Workers
from perdure.frontend.workflow_tasks import WorkflowTasks
from perdure.frontend.workflows import Workflows
from perdure.persistence.ports import VisibilityStore
from perdure.rpc.clients import MatchingClient
from perdure.rpc.handler import Handler
from perdure.rpc.history_client import HistoryClient
from perdure.rpc.methods import OPERATOR_SERVICE, WORKFLOW_SERVICE, path_of
from perdure.rpc.namespaces import NamespaceRegistry
from perdure.rpc.search_attributes import SearchAttributeRegistry
from perdure.rpc.task_queue_configs import TaskQueueConfigs
from perdure.runtime.ports import Clock, Ids


class _Family(Protocol):
    def handlers(self) -> Mapping[str, Handler]: ...


class Frontend:
    """Puts the handlers of all RPC families together."""

    def __init__(
        self,
        *,
        history: HistoryClient,
        matching: MatchingClient,
        visibility: VisibilityStore,
        namespaces: NamespaceRegistry,
        search_attributes: SearchAttributeRegistry,
        task_queue_configs: TaskQueueConfigs,
        ids: Ids,
        clock: Clock,
        settings: FrontendSettings,
        cluster: ClusterInfo,
    ) -> None:
        gate = NamespaceGate(registry=namespaces, max_bytes=settings.max_id_bytes)
        tokens = TokenGate(namespaces=gate)
        attributes = SearchAttributes(namespaces=namespaces, registry=search_attributes)
        managed = Namespaces(registry=namespaces, settings=settings, clock=clock)
        self._long_polls = LongPolls()
        families: tuple[_Family, ...] = (
            *self._starting(gate, search_attributes, history, ids, settings),
            *_schedules(history, visibility, gate, search_attributes, ids, settings),
            Workflows(
                namespaces=gate, history=history, settings=settings, long_polls=self._long_polls
            ),
            Queries(
                namespaces=gate,
                tokens=tokens,
                history=history,
                matching=matching,
                settings=settings,
            ),
            *(
                family(
                    namespaces=gate,
                    tokens=tokens,
                    history=history,
                    matching=matching,
                    settings=settings,
                    long_polls=self._long_polls,
                )
                for family in (WorkflowTasks, ActivityTasks)
            ),
            ActivitiesById(namespaces=gate, history=history, settings=settings),
            ActivityOperations(namespaces=gate, history=history, ids=ids, settings=settings),
            Listings(
                namespaces=gate,
                search_attributes=search_attributes,
                visibility=visibility,
                settings=settings,
            ),
            *_of_operators(gate, matching, task_queue_configs, settings, cluster),
            managed,
            System(cluster=cluster),
            Retired(namespaces=gate),
            attributes,
        )
        self._handlers = {
            **_of_workflow_service(families),
            **_by_path(OPERATOR_SERVICE, attributes.operator_handlers()),
            **_by_path(OPERATOR_SERVICE, managed.operator_handlers()),
        }

    def _starting(
        self,
        gate: NamespaceGate,
        search_attributes: SearchAttributeRegistry,
        history: HistoryClient,
        ids: Ids,
        settings: FrontendSettings,
    ) -> tuple[_Family, ...]:
        """Returns what may start workflows."""
        starts = Starts(
            namespaces=gate,
            search_attributes=search_attributes,
            history=history,
            ids=ids,
            settings=settings,
        )
        updates = Updates(
            namespaces=gate,
            history=history,
            starts=starts,
            ids=ids,
            settings=settings,
            long_polls=self._long_polls,
        )
        return starts, updates

    def handlers(self) -> Mapping[str, Handler]:
        """Returns the handlers by `/package.Service/Name`."""
        return self._handlers

    def end_long_polls(self) -> None:
        """Answers the long polls under way, and later ones at once, as when their time is up."""
        self._long_polls.end()


def _of_operators(
    gate: NamespaceGate,
    matching: MatchingClient,
    configs: TaskQueueConfigs,
    settings: FrontendSettings,
    cluster: ClusterInfo,
) -> tuple[_Family, ...]:
    """Returns what operators ask of matching."""
    queues = TaskQueues(
        namespaces=gate,
        matching=matching,
        configs=configs,
        settings=settings,
        host_name=cluster.host_name,
    )
    return queues, Workers(namespaces=gate, matching=matching)


def _of_workflow_service(families: Iterable[_Family]) -> dict[str, Handler]:
    workflow_service: dict[str, Handler] = {}
    for family in families:
        workflow_service.update(family.handlers())
    return _by_path(WORKFLOW_SERVICE, workflow_service)


def _schedules(  # noqa: PLR0917 - the frontend's own parts
    history: HistoryClient,
    visibility: VisibilityStore,
    gate: NamespaceGate,
    search_attributes: SearchAttributeRegistry,
    ids: Ids,
    settings: FrontendSettings,
) -> tuple[_Family, ...]:
    return (
        Schedules(
            namespaces=gate,
            search_attributes=search_attributes,
            history=history,
            ids=ids,
            settings=settings,
        ),
        ScheduleListings(
            namespaces=gate,
            search_attributes=search_attributes,
            visibility=visibility,
            settings=settings,
        ),
    )


def _by_path(service: ServiceDescriptor, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    return {path_of(service, name): handler for name, handler in handlers.items()}

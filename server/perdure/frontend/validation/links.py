"""Links from a request to what caused it."""

from collections.abc import Sequence

from temporalio.api.common.v1.message_pb2 import Link

from perdure.core.errors import InvalidArgumentError
from perdure.frontend.settings import FrontendSettings


def check_links(links: Sequence[Link], settings: FrontendSettings) -> None:
    """Checks the links of a request."""
    if len(links) > settings.max_links:
        raise InvalidArgumentError(
            f"cannot attach more than {settings.max_links} links per request, got {len(links)}"
        )
    for link in links:
        if (size := link.ByteSize()) > settings.max_link_bytes:
            raise InvalidArgumentError(
                f"link exceeds allowed size of {settings.max_link_bytes}, got {size}"
            )
        _check_variant(link)


def _check_variant(link: Link) -> None:
    match link.WhichOneof("variant"):
        case "workflow_event":
            event = link.workflow_event
            _require("namespace", event.namespace)
            _require("workflow ID", event.workflow_id)
            _require("run ID", event.run_id)
        case "batch_job":
            if not link.batch_job.job_id:
                raise InvalidArgumentError("batch job link must not have an empty job ID")
        case _:
            raise InvalidArgumentError("unsupported link variant")


def _require(field: str, value: str) -> None:
    if not value:
        raise InvalidArgumentError(f"workflow event link must not have an empty {field} field")

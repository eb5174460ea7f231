"""What the demo runs: orders that are paid for, approved and shipped, and a report now and then.

Which orders go wrong, and how, follows from their numbers.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

QUEUE = "demo-orders"
_LIMIT = timedelta(seconds=10)
_APPROVAL_LIMIT = timedelta(seconds=5)
_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)


@dataclass(frozen=True)
class Plan:
    """What becomes of an order.

    Attributes:
        declined: Its payment is declined for good, and the workflow fails.
        flaky: The first attempt to pay fails.
        forgotten: Nobody approves it, and the workflow fails when it has waited long enough.
    """

    declined: bool = False
    flaky: bool = False
    forgotten: bool = False

    @staticmethod
    def of(number: int) -> "Plan":
        """Returns the plan of an order."""
        return Plan(declined=number % 12 == 5, flaky=number % 4 == 2, forgotten=number % 12 == 11)


@activity.defn(name="Pay")
async def pay(plan: Plan) -> str:
    """Takes the money."""
    if plan.declined:
        raise ApplicationError("the card was declined", type="Declined", non_retryable=True)
    if plan.flaky and activity.info().attempt == 1:
        raise ApplicationError("the bank did not answer", type="Unavailable")
    return f"receipt-{activity.info().workflow_id}"


@activity.defn(name="Ship")
async def ship(receipt: str) -> str:
    """Sends the parcel."""
    return f"parcel for {receipt}"


@workflow.defn(name="Order")
class Order:
    """Pays, waits for approval, lets a day that lasts a second pass, and ships."""

    def __init__(self) -> None:
        self._approved = False

    @workflow.run
    async def run(self, plan: Plan) -> str:
        receipt = await workflow.execute_activity(
            pay, plan, start_to_close_timeout=_LIMIT, retry_policy=_RETRIES
        )
        try:
            await workflow.wait_condition(lambda: self._approved, timeout=_APPROVAL_LIMIT)
        except TimeoutError:
            raise ApplicationError("nobody approved it", type="Forgotten") from None
        await workflow.sleep(1)
        return await workflow.execute_activity(ship, receipt, start_to_close_timeout=_LIMIT)

    @workflow.signal
    def approve(self) -> None:
        """Lets it go on."""
        self._approved = True

    @workflow.query
    def approved(self) -> bool:
        """Tells whether somebody has."""
        return self._approved


@workflow.defn(name="Report")
class Report:
    """What the schedule starts."""

    @workflow.run
    async def run(self) -> str:
        await workflow.sleep(0.5)
        return "all is well"

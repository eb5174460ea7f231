"""Every request of the table is refused as the real server refuses it."""

from unit.frontend.invalid_requests import FAMILIES, all_invalid_requests
from unit.frontend.world import serving_frontend


async def test_invalid_requests_are_refused_in_the_real_servers_words() -> None:
    wrong = []
    async with serving_frontend() as (world, client):
        for case in all_invalid_requests():
            answer = await client.refusal(case.rpc, case.request)
            if (answer.code, answer.message) != (case.code, case.message):
                wrong.append(f"{case.name}: {answer.code.name} {answer.message}")
        assert not world.history.calls
        assert not world.matching.calls
    assert not wrong


async def test_sound_requests_of_the_table_are_not_refused_for_their_form() -> None:
    async with serving_frontend() as (world, client):
        for family in FAMILIES:
            if "task_token" in family.sound or family.rpc == "ListArchivedWorkflowExecutions":
                continue
            await client.call(family.rpc, family.request())
    assert world.history.calls
    assert world.matching.calls

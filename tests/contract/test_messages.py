"""Messages to other workflows, and the receipts of those that were taken in."""

from contract.rows import (
    FOREVER,
    commit_all,
    deletion,
    message,
    receipt,
    receipt_key,
    results,
    run_key,
    start,
    step,
    transition,
    whole_shard,
)
from perdure.core.commit import MessageRow
from perdure.persistence.ports import Result, Shard, Store

LAST_SLOT = 16_383
MEGABYTE = 1 << 20


async def all_messages(store: Store) -> list[MessageRow]:
    return await store.read_messages(0, LAST_SLOT, FOREVER, None, 1_000)


async def delete_expired(store: Store, expired_before: int = FOREVER, limit: int = 1_000) -> int:
    return await store.delete_expired_receipts(0, LAST_SLOT, expired_before, limit)


async def kept(store: Store, *request_ids: str, workflow_id: str = "workflow") -> list[str]:
    """Those of the receipts that the store has."""
    return [
        request_id
        for request_id in request_ids
        if await store.load_receipt(receipt_key(request_id, workflow_id)) is not None
    ]


async def test_messages_of_a_range_of_slots_in_key_order(store: Store, shard: Shard) -> None:
    rows = [
        message(message_id, due=due, slot=slot)
        for due in (5, 10, 20)
        for slot in (0, 7, 8, LAST_SLOT)
        for message_id in ("A", "a", "é")
    ]
    await commit_all(store, *(transition(shard, messages=[row]) for row in rows[::-1]))
    assert await all_messages(store) == rows
    assert await store.read_messages(0, LAST_SLOT, 10, None, 100) == rows[:12]
    assert await store.read_messages(0, LAST_SLOT, 5, None, 100) == []
    assert await store.read_messages(0, LAST_SLOT, 6, None, 2) == rows[:2]
    inside = [row for row in rows if row.key.slot in {7, 8} and row.key.due < 20]
    assert await store.read_messages(7, 8, 20, None, 100) == inside
    found: list[MessageRow] = []
    while page := await store.read_messages(7, 8, 20, found[-1].key if found else None, 5):
        found += page
    assert found == inside


async def test_a_message_that_is_gone_still_marks_a_position(store: Store, shard: Shard) -> None:
    rows = [message(str(number)) for number in range(1, 6)]
    await commit_all(store, transition(shard, messages=rows))
    await commit_all(store, transition(shard, messages_deleted=[row.key for row in rows[1:3]]))
    assert await store.read_messages(0, LAST_SLOT, FOREVER, rows[2].key, 100) == rows[3:]
    assert await all_messages(store) == [rows[0], *rows[3:]]


async def test_messages_and_receipts_of_any_size_come_back(store: Store, shard: Shard) -> None:
    every_byte = bytes(range(256)) * (2 * MEGABYTE // 256)
    sent = [message("large", data=every_byte), message("far", due=FOREVER - 1)]
    taken = [receipt("large", data=every_byte), receipt("empty")]
    longest = transition(
        shard,
        messages=[message("ä" * 400, run=run_key("r" * 400))],
        receipts=[receipt("ö" * 400, data=b"long")],
    )
    await commit_all(store, transition(shard, messages=sent, receipts=taken), longest)
    assert {row.key.id: row for row in await all_messages(store)} == {
        row.key.id: row for row in (*sent, *longest.messages_added)
    }
    assert await store.load_receipt(receipt_key("large")) == every_byte
    assert await store.load_receipt(receipt_key("empty")) == b""
    assert await store.load_receipt(receipt_key("ö" * 400)) == b"long"


async def test_a_message_added_and_deleted_in_one_batch_is_gone(store: Store, shard: Shard) -> None:
    await commit_all(
        store,
        transition(shard, messages=[message("1"), message("2")]),
        transition(shard, messages_deleted=[message("1").key]),
    )
    assert await all_messages(store) == [message("2")]


async def test_a_message_deleted_and_added_again_stays(store: Store, shard: Shard) -> None:
    await commit_all(store, transition(shard, messages=[message("1", data=b"first")]))
    gone = transition(shard, messages_deleted=[message("1").key])
    again = transition(shard, messages=[message("1", data=b"second")])
    await commit_all(store, gone, again)
    assert await all_messages(store) == again.messages_added
    await commit_all(store, gone, again, gone)
    assert await all_messages(store) == []


async def test_one_transition_puts_a_message_off(store: Store, shard: Shard) -> None:
    await commit_all(store, transition(shard, messages=[message("1", due=10)]))
    gone = [message("1", due=10).key]
    await commit_all(
        store, transition(shard, messages_deleted=gone, messages=[message("1", due=10, data=b"2")])
    )
    assert await all_messages(store) == [message("1", due=10, data=b"2")]
    await commit_all(
        store, transition(shard, messages_deleted=gone, messages=[message("1", due=20)])
    )
    assert await all_messages(store) == [message("1", due=20)]


async def test_deleting_a_message_that_is_not_there_is_no_error(store: Store, shard: Shard) -> None:
    await commit_all(store, transition(shard, messages_deleted=[message("1").key]))


async def test_messages_and_receipts_outlive_their_run(store: Store, shard: Shard) -> None:
    begin = start(shard, "run-1")
    begin.messages_added = [message("1"), message("2")]
    begin.receipts_added = [receipt("taken", data=b"answer")]
    await commit_all(store, begin)
    end = transition(shard, deletion("run-1", 1), messages_deleted=[message("2").key])
    await commit_all(store, end)
    assert await store.load_run(run_key("run-1")) is None
    assert await all_messages(store) == [message("1")]
    assert await store.load_receipt(receipt_key("taken")) == b"answer"


async def test_a_receipt_is_of_one_workflow_id(store: Store, shard: Shard) -> None:
    await commit_all(
        store,
        transition(shard, receipts=[receipt("1", data=b"mine")]),
        transition(
            shard, receipts=[receipt("1", workflow_id="other", data=b"its")], workflow_id="other"
        ),
    )
    assert await store.load_receipt(receipt_key("1")) == b"mine"
    assert await store.load_receipt(receipt_key("1", "other")) == b"its"
    assert await store.load_receipt(receipt_key("1", "third")) is None
    assert await store.load_receipt(receipt_key("2")) is None
    assert await store.load_receipt(receipt_key("1")._replace(namespace_id="other")) is None


async def test_a_message_or_receipt_added_twice_is_rejected(store: Store, shard: Shard) -> None:
    await commit_all(
        store,
        start(shard, "run-1"),
        transition(shard, messages=[message("1")], receipts=[receipt("1", data=b"first")]),
    )
    again = receipt("1", data=b"again")
    outcomes = await store.commit(
        [
            transition(shard, step("run-1", 1), messages=[message("1")]),
            transition(shard, step("run-1", 1), receipts=[again]),
            transition(shard, step("run-1", 7), receipts=[again]),
            transition(shard, messages=[message("2"), message("2")]),
            transition(shard, receipts=[receipt("2"), receipt("2")]),
            transition(shard, messages=[message("3")], receipts=[receipt("3")]),
            transition(shard, messages=[message("3")]),
            transition(shard, receipts=[receipt("3")]),
            transition(shard, step("run-1", 1)),
        ]
    )
    assert results(outcomes) == [
        Result.REJECTED,
        Result.REJECTED,
        Result.VERSION_MISMATCH,
        Result.REJECTED,
        Result.REJECTED,
        Result.COMMITTED,
        Result.REJECTED,
        Result.REJECTED,
        Result.COMMITTED,
    ]
    assert all(o.detail for o in outcomes if o.result is not Result.COMMITTED)
    assert await all_messages(store) == [message("1"), message("3")]
    assert await store.load_receipt(receipt_key("1")) == b"first"
    assert await kept(store, "1", "2", "3") == ["1", "3"]


async def test_a_refused_transition_adds_no_message_and_no_receipt(
    store: Store, shard: Shard
) -> None:
    old, new = shard, await whole_shard(store, "new")
    await commit_all(store, transition(new, messages=[message("kept")]))
    outcomes = await store.commit(
        [
            transition(
                old,
                messages=[message("1")],
                messages_deleted=[message("kept").key],
                receipts=[receipt("1")],
            ),
            transition(
                new,
                step("never", 3),
                messages=[message("2")],
                messages_deleted=[message("kept").key],
                receipts=[receipt("2")],
            ),
            transition(new, messages=[message("3")], receipts=[receipt("3")]),
        ]
    )
    assert results(outcomes) == [Result.FENCED, Result.VERSION_MISMATCH, Result.COMMITTED]
    assert await all_messages(store) == [message("3"), message("kept")]
    assert await kept(store, "1", "2", "3") == ["3"]


async def test_expired_receipts_are_deleted_oldest_first(store: Store, shard: Shard) -> None:
    rows = [receipt(str(expiry), expiry=expiry) for expiry in (30, 10, 50, 20, 40)]
    await commit_all(store, transition(shard, receipts=rows))
    every = ("10", "20", "30", "40", "50")
    assert await delete_expired(store, 10) == 0
    assert await kept(store, *every) == list(every)
    assert await delete_expired(store, 41, limit=2) == 2
    assert await kept(store, *every) == ["30", "40", "50"]
    assert await delete_expired(store, 41, limit=0) == 0
    assert await delete_expired(store, 41, limit=3) == 2
    assert await kept(store, *every) == ["50"]
    await commit_all(store, transition(shard, receipts=[receipt("10")]))
    assert await kept(store, *every) == ["10", "50"]


async def test_expired_receipts_of_other_slots_stay(store: Store, shard: Shard) -> None:
    mine, its = receipt("1", expiry=10), receipt("1", workflow_id="other", expiry=5)
    assert mine.slot != its.slot
    await commit_all(
        store,
        transition(shard, receipts=[mine]),
        transition(shard, receipts=[its], workflow_id="other"),
    )
    assert await store.delete_expired_receipts(mine.slot, mine.slot, FOREVER, 10) == 1
    assert await kept(store, "1") == []
    assert await kept(store, "1", workflow_id="other") == ["1"]

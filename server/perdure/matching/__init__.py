"""Task queues: where pollers meet tasks, in memory first.

Rules that hold here: one event loop, no locks; nothing is persisted, since the outbox row that
history wrote is the task; history alone decides that a task has started; what memory forgets is
read again from the rows.
"""

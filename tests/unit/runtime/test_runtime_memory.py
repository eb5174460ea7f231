"""The tuned garbage collector."""

import gc

from perdure.runtime.memory import tune_gc


def test_tuning_freezes_reports_pauses_and_can_be_undone() -> None:
    thresholds, frozen, callbacks = gc.get_threshold(), gc.get_freeze_count(), len(gc.callbacks)
    pauses: list[tuple[int, float]] = []
    tuning = tune_gc(on_pause=lambda *pause: pauses.append(pause), thresholds=(5_000, 7, 9))
    try:
        assert gc.get_threshold() == (5_000, 7, 9)
        assert gc.get_freeze_count() > frozen
        gc.collect(1)
    finally:
        tuning.undo()
    assert pauses[-1][0] == 1
    assert all(seconds >= 0 for _, seconds in pauses)
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0
    assert len(gc.callbacks) == callbacks

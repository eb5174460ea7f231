"""Every name that operators use is told, or there is a reason why it is not."""

from perdure.telemetry.equivalents import EQUIVALENTS, EXPORTED, OPERATED

OPERATED_NAMES = [name for names in OPERATED.values() for name in names]
REASONED = [name for equivalent in EQUIVALENTS for name in equivalent.names]


def test_a_name_that_operators_use_is_told_or_has_a_reason_not_to_be() -> None:
    assert [name for name in OPERATED_NAMES if name not in EXPORTED and name not in REASONED] == []


def test_what_cannot_exist_is_not_told() -> None:
    told = [
        name
        for name in REASONED
        if any(
            metric == name or (name.endswith("*") and metric.startswith(name[:-1]))
            for metric in EXPORTED
        )
    ]
    assert told == []


def test_every_name_is_listed_once() -> None:
    assert len(set(OPERATED_NAMES)) == len(OPERATED_NAMES)
    assert len(set(REASONED)) == len(REASONED)


def test_what_stands_for_something_is_told() -> None:
    for equivalent in EQUIVALENTS:
        assert all(EXPORTED[metric.name] is metric for metric in equivalent.nearest)
        assert not equivalent.why.endswith(".")

"""Search attributes: decoding, checking, and what happens when types change."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1.message_pb2 import Payload, SearchAttributes

from perdure.core.commit import SearchValue
from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.attributes import (
    SearchAttributeLimits,
    add_types,
    decode,
    searchable_values,
    validate,
)
from perdure.core.visibility.query import ValueType
from perdure.core.visibility.values import go_float, parse_datetime, parse_duration

HALF_A_SECOND = datetime(1970, 1, 1, microsecond=500_000, tzinfo=UTC)
TYPES = {"Word": ValueType.KEYWORD, "Number": ValueType.INT, "Words": ValueType.KEYWORD_LIST}


def payload(text: str, encoding: bytes = b"json/plain") -> Payload:
    return Payload(metadata={"encoding": encoding}, data=text.encode())


def attributes(**values: str) -> SearchAttributes:
    return SearchAttributes(indexed_fields={name: payload(text) for name, text in values.items()})


def check(given_attributes: SearchAttributes, **limits: int) -> None:
    validate(given_attributes, TYPES, namespace="here", limits=SearchAttributeLimits(**limits))


@pytest.mark.parametrize(
    ("text", "value_type", "value"),
    [
        ('"a"', ValueType.TEXT, "a"),
        ('"a"', ValueType.KEYWORD, "a"),
        ('["a"]', ValueType.KEYWORD, "a"),
        ("5", ValueType.INT, 5),
        ("[5]", ValueType.INT, 5),
        ("5", ValueType.DOUBLE, 5.0),
        ("1.5", ValueType.DOUBLE, 1.5),
        ("true", ValueType.BOOL, True),
        ('"1970-01-01T02:00:00.5+02:00"', ValueType.DATETIME, HALF_A_SECOND),
        ('["a", "b"]', ValueType.KEYWORD_LIST, ["a", "b"]),
        ("null", ValueType.INT, None),
        ("[]", ValueType.KEYWORD, None),
        ("[]", ValueType.KEYWORD_LIST, None),
        ("null", ValueType.KEYWORD_LIST, None),
    ],
)
def test_values_are_decoded(text: str, value_type: ValueType, value: SearchValue | None) -> None:
    decoded = decode(payload(text), value_type)
    assert decoded == value
    assert type(decoded) is type(value)


def test_a_null_payload_is_no_value() -> None:
    assert decode(payload("", b"binary/null"), ValueType.INT) is None


@given(st.binary(max_size=40), st.sampled_from(list(ValueType)))
def test_any_bytes_are_a_value_or_refused(data: bytes, value_type: ValueType) -> None:
    damaged = Payload(metadata={"encoding": b"json/plain"}, data=data)
    try:
        decode(damaged, value_type)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - most bytes are refused, some are not


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "NaN", "Infinity", "-Infinity"])
def test_json_that_python_alone_would_read_or_choke_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="value from"):
        decode(payload(text), ValueType.DOUBLE)


def test_what_has_no_type_or_value_is_missing_when_read_back() -> None:
    given_attributes = attributes(Word='"w"', Gone='"g"', Number="null", BuildIds='["b"]')
    assert searchable_values(given_attributes, TYPES) == {"Word": "w", "BuildIds": ["b"]}


def test_values_of_a_former_type_are_missing_when_read_back() -> None:
    given_attributes = attributes(Word="5", Number="6", Gone="7")
    assert searchable_values(given_attributes, TYPES) == {"Number": 6}
    with pytest.raises(InvalidArgumentError):
        check(given_attributes)


def test_too_many_or_too_much_is_refused() -> None:
    many = attributes(Word='"a"', Number="1")
    check(many)
    with pytest.raises(InvalidArgumentError, match="number of search attributes 2 exceeds limit 1"):
        check(many, max_keys=1)
    size = many.ByteSize()
    with pytest.raises(
        InvalidArgumentError,
        match=f"total size of search attributes {size} exceeds size limit {size - 1}",
    ):
        check(many, max_total_bytes=size - 1)


def test_types_are_named_where_the_client_has_not_done_so() -> None:
    given_attributes = attributes(Word='"a"', Number="1", BuildIds="[]")
    given_attributes.indexed_fields["Word"].metadata["type"] = b"mine"
    add_types(given_attributes, TYPES)
    named = {name: kept.metadata["type"] for name, kept in given_attributes.indexed_fields.items()}
    assert named == {"Word": b"mine", "Number": b"Int", "BuildIds": b"KeywordList"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (100_000.0, "100000"),
        (1_000_000.0, "1e+06"),
        (123_456_789_012.0, "1.23456789012e+11"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-5.5, "-5.5"),
        (1e20, "1e+20"),
        (float("inf"), "+Inf"),
    ],
)
def test_numbers_are_printed_as_by_go(number: float, text: str) -> None:
    assert go_float(number) == text


@given(st.text(max_size=30))
def test_no_text_breaks_the_readers_of_times(text: str) -> None:
    assert isinstance(parse_datetime(text), int | None)
    assert isinstance(parse_duration(text), int | None)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_read_to_the_microsecond(moment: datetime) -> None:
    text = moment.isoformat().replace("+00:00", "Z")
    nanoseconds = parse_datetime(text)
    assert nanoseconds is not None
    assert decode(payload(f'"{text}"'), ValueType.DATETIME) == moment

"""Cuts a visibility query into the tokens of its grammar, in one pass.

Positions and the words quoted in syntax errors are those of the real server, which parses the
query as the condition of a SELECT statement of its own; `PREFIX_BYTES` is that statement's length.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final, NamedTuple

from perdure.core.errors import InvalidArgumentError

MAX_QUERY_BYTES: Final = 64 * 1_024
MAX_TOKENS: Final = 2_048

PREFIX_BYTES: Final = 28
# A query that begins with GROUP BY or ORDER BY follows the statement without its WHERE.
CLAUSE_PREFIX_BYTES: Final = 22

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<open_string>['"].*)
    |(?P<quoted_name>`(?:[^`]|``)+`)
    |(?P<number>0x[0-9a-f]+(?![\w@])|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w@]))
    |(?P<bad_number>\d+)
    |(?P<name>[a-z_@][\w@$]*)
    |(?P<operator><=>|<=|>=|<>|!=|&&|\|\||[=<>(),;+\-*/%.])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE | re.ASCII,
)
_OPERATORS: Final = {
    "&&": "AND",
    "||": "OR",
    "(": "LPAR",
    ")": "RPAR",
    ",": "COMMA",
    ";": "SEMICOLON",
    ".": "DOT",
    "+": "SIGN",
    "-": "SIGN",
    "*": "TIMES",
    "/": "TIMES",
    "%": "TIMES",
}
_KEYWORDS: Final = (
    *("AND", "OR", "NOT", "IN", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"),
    *("STARTS_WITH", "LIKE", "REGEXP"),
    *("GROUP", "ORDER", "BY", "ASC", "DESC", "LIMIT", "OFFSET"),
)
_TERMINALS: Final = {word.lower(): word for word in _KEYWORDS} | {"rlike": "REGEXP"}
_RESERVED: Final = frozenset(
    (
        *("select", "from", "where", "table", "having", "into", "union", "xor", "exists", "for"),
        *("case", "when", "then", "else", "end", "escape", "join", "on", "using", "distinct"),
        *("all", "as", "values", "set", "with"),
        *("insert", "update", "delete", "create", "drop", "alter"),
    )
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


class Token(NamedTuple):
    """One token: its terminal in the grammar, its value, and where it ends (characters)."""

    terminal: str
    value: str
    end: int


def tokenize(query: str) -> list[Token]:
    """Returns a query's tokens.

    Raises:
        InvalidArgumentError: The query is too long.
    """
    if len(query.encode()) > MAX_QUERY_BYTES:
        raise InvalidArgumentError(f"invalid query: longer than {MAX_QUERY_BYTES} bytes")
    tokens = []
    for token in _scan(query):
        tokens.append(token)
        if len(tokens) > MAX_TOKENS:
            raise InvalidArgumentError(
                f"invalid query: more than {MAX_TOKENS} words, values and operators"
            )
    return [_without_clause(token, follower) for token, follower in zip_longest(tokens, tokens[1:])]


def _without_clause(token: Token, follower: Token | None) -> Token:
    # ORDER and GROUP are refused themselves, not what stands in the place of their BY.
    if token.terminal in ("ORDER", "GROUP") and follower and follower.terminal != "BY":
        return token._replace(terminal="RESERVED")
    return token


def syntax_error(query: str, token: Token | None) -> InvalidArgumentError:
    """Returns the error of a query that the grammar refuses at a token; None is its end."""
    clause = re.match(r"\s*(group|order)\s+by\b", query, re.IGNORECASE)
    position = CLAUSE_PREFIX_BYTES if clause else PREFIX_BYTES
    before = query.rstrip() if token is None else query[: token.end]
    position += len(before.encode())
    near = "" if token is None else _quoted_in_error(token)
    suffix = f" near '{near}'" if near else ""
    return InvalidArgumentError(
        f"invalid query: malformed SQL query: syntax error at position {position}{suffix}"
    )


def _quoted_in_error(token: Token) -> str:
    if token.terminal in ("NAME", "STRING", "NUMBER", "UNKNOWN"):
        return token.value
    return token.value.lower() if token.value[:1].isalpha() else ""


def _scan(query: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(query):
        kind, text, end = match.lastgroup, match[0], match.end()
        match kind:
            case "skip":
                continue
            case "name":
                yield Token(_word(text), text, end)
            case "string":
                yield Token("STRING", _unquote(text), end)
            case "quoted_name":
                yield Token("NAME", text[1:-1].replace("``", "`"), end)
            case "number":
                yield Token("NUMBER", text, end)
            case "operator":
                yield Token(_OPERATORS.get(text, "COMPARE"), text, end)
            case "open_string":
                yield Token("UNKNOWN", text[1:], end)
            case "bad_number":
                yield Token("UNKNOWN", text, end)
            case _:
                yield Token("UNKNOWN", text if text == "$" else "", end)


def _word(text: str) -> str:
    lower = text.lower()
    if lower in _RESERVED:
        return "RESERVED"
    return _TERMINALS.get(lower, "NAME")


def _unquote(text: str) -> str:
    quote, body = text[0], text[1:-1]
    return re.sub(
        rf"\\(.)|{quote}{quote}",
        lambda match: quote if match[1] is None else _ESCAPES.get(match[1], match[1]),
        body,
        flags=re.DOTALL,
    )

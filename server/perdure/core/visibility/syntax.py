"""The grammar of visibility queries and the tree that it gives.

The grammar is wider than what is supported, so that an error can name what is not: arithmetic,
functions and clauses parse, and `checking` refuses them. Trees are built bottom up while parsing,
without recursion, so that no input can exhaust the stack here. `limits` bounds the work before and
while tokens are made; docs/decisions/0012-visibility.md says what that is worth.

Positions and the words quoted in syntax errors are those of the real server, which parses the
query as the condition of a SELECT statement of its own; `PREFIX_BYTES` is that statement's length.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lark import Lark, Transformer, v_args
from lark import Token as LarkToken
from lark.exceptions import UnexpectedToken
from lark.lark import PostLex

from perdure.core.errors import InvalidArgumentError
from perdure.core.visibility.limits import QueryLimits

PREFIX_BYTES: Final = 28
# A query that begins with GROUP BY or ORDER BY follows the statement without its WHERE.
CLAUSE_PREFIX_BYTES: Final = 22

_GRAMMAR: Final = r"""
start: condition group? order? limit? SEMICOLON? -> query
     | group order? limit? SEMICOLON? -> query
     | order limit? SEMICOLON? -> query

group: GROUP BY operand (COMMA operand)*
order: ORDER BY ordering (COMMA ordering)*
ordering: operand (ASC | DESC)? -> first
limit: LIMIT NUMBER ((COMMA | OFFSET) NUMBER)?

?condition: conjunction | condition OR conjunction -> disjunction
?conjunction: negation | conjunction AND negation
?negation: predicate | NOT negation
?predicate: operand
     | operand COMPARE operand -> comparison
     | operand (STARTS_WITH | LIKE | REGEXP) operand -> comparison
     | operand NOT (STARTS_WITH | LIKE | REGEXP) operand -> negated_comparison
     | operand IN list -> comparison
     | operand NOT IN list -> negated_comparison
     | operand BETWEEN operand AND operand -> between
     | operand NOT BETWEEN operand AND operand -> not_between
     | operand IS (NULL | TRUE | FALSE) -> identity
     | operand IS NOT (NULL | TRUE | FALSE) -> not_identity
list: LPAR operand (COMMA operand)* RPAR

?operand: term | operand SIGN term -> binary
?term: factor | term TIMES factor -> binary
?factor: primary | SIGN factor -> unary
?primary: (NAME | QUOTED_NAME) (DOT (NAME | QUOTED_NAME))* -> column
     | STRING -> string
     | NUMBER -> number
     | (TRUE | FALSE) -> boolean
     | NULL -> null
     | LPAR condition RPAR -> parenthesis
     | NAME LPAR (operand (COMMA operand)*)? RPAR -> function

SKIPPED.9: /(\s|--[^\n]*|\#[^\n]*|\/\*[\s\S]*?\*\/)+/
%ignore SKIPPED

STRING.8: /'[^'\\]*((\\[\s\S]|'')[^'\\]*)*'|"[^"\\]*((\\[\s\S]|"")[^"\\]*)*"/
OPEN_STRING.7: /['"][\s\S]*/
QUOTED_NAME.7: /`([^`]|``)+`/
NUMBER.7: /0x[0-9a-f]+(?![\w@])|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\w@])/i
BAD_NUMBER.6: /\d+/

AND.5: /and(?![\w@$])|&&/i
OR.5: /or(?![\w@$])|\|\|/i
NOT.5: /not(?![\w@$])/i
IN.5: /in(?![\w@$])/i
BETWEEN.5: /between(?![\w@$])/i
IS.5: /is(?![\w@$])/i
NULL.5: /null(?![\w@$])/i
TRUE.5: /true(?![\w@$])/i
FALSE.5: /false(?![\w@$])/i
STARTS_WITH.5: /starts_with(?![\w@$])/i
LIKE.5: /like(?![\w@$])/i
REGEXP.5: /(regexp|rlike)(?![\w@$])/i
GROUP.5: /group(?![\w@$])/i
ORDER.5: /order(?![\w@$])/i
BY.5: /by(?![\w@$])/i
ASC.5: /asc(?![\w@$])/i
DESC.5: /desc(?![\w@$])/i
LIMIT.5: /limit(?![\w@$])/i
OFFSET.5: /offset(?![\w@$])/i
RESERVED.5: /(select|from|where|table|having|into|union|xor|exists|for|case|when|then|else|end
    |escape|join|on|using|distinct|all|as|values|set|with|insert|update|delete|create|drop
    |alter)(?![\w@$])/ix
NAME.4: /[a-z_@][\w@$]*/i

COMPARE.3: /<=>|<=|>=|<>|!=|[=<>]/
LPAR.3: "("
RPAR.3: ")"
COMMA.3: ","
SEMICOLON.3: ";"
DOT.3: "."
SIGN.3: /[+-]/
TIMES.3: /[*\/%]/
UNKNOWN.1: /[\s\S]/
"""
_NEVER_ACCEPTED: Final = ("OPEN_STRING", "BAD_NUMBER", "RESERVED", "UNKNOWN")
"""Terminals that no rule has: what they match is an error where it stands."""

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


@dataclass(slots=True, frozen=True)
class Column:
    """A name."""

    name: str


@dataclass(slots=True, frozen=True)
class Literal:
    """A value as it was written: a string's content, or a number's text."""

    text: str
    is_string: bool


@dataclass(slots=True, frozen=True)
class Boolean:
    """TRUE or FALSE."""

    value: bool


@dataclass(slots=True, frozen=True)
class Parenthesis:
    """Something in parentheses."""

    content: "Node"


@dataclass(slots=True, frozen=True)
class Negation:
    """NOT something."""

    operand: "Node"


@dataclass(slots=True, frozen=True)
class Junction:
    """Conditions joined by AND, or by OR."""

    is_and: bool
    operands: list["Node"]


@dataclass(slots=True, frozen=True)
class Predicate:
    """A comparison: `operator` in upper case, with NOT where it is negated."""

    left: "Node"
    operator: str
    right: tuple["Node", ...]


@dataclass(slots=True, frozen=True)
class Unsupported:
    """What parses and means nothing here; `kind` is what the real server calls it."""

    kind: str
    text: str = ""


Node = Column | Literal | Boolean | Parenthesis | Negation | Junction | Predicate | Unsupported


@dataclass(slots=True, frozen=True)
class Query:
    """A whole query; an empty `condition` is None."""

    condition: Node | None
    group_by: tuple[Node, ...] = ()
    order_by: tuple[Node, ...] = ()
    has_limit: bool = False


@dataclass(slots=True, frozen=True)
class _Clause:
    name: str
    nodes: tuple[Node, ...]


def _nodes(children: Sequence[object]) -> tuple[Node, ...]:
    return tuple(child for child in children if not isinstance(child, LarkToken))  # type: ignore[misc]


def _joined(is_and: bool, left: Node, right: Node) -> Junction:
    # Grown in place: a thousand operands shall not be copied a thousand times.
    if isinstance(left, Junction) and left.is_and == is_and:
        left.operands.append(right)
        return left
    return Junction(is_and, [left, right])


@v_args(inline=True)
class _Builder(Transformer[LarkToken, Query]):
    """Builds a node of each rule's parts."""

    def query(self, *parts: object) -> Query:
        clauses = {part.name: part.nodes for part in parts if isinstance(part, _Clause)}
        first = parts[0]
        return Query(
            condition=None if isinstance(first, _Clause) else first,  # type: ignore[arg-type]
            group_by=clauses.get("group", ()),
            order_by=clauses.get("order", ()),
            has_limit="limit" in clauses,
        )

    def group(self, *parts: object) -> _Clause:
        return _Clause("group", _nodes(parts))

    def order(self, *parts: object) -> _Clause:
        return _Clause("order", _nodes(parts))

    def limit(self, *_parts: object) -> _Clause:
        return _Clause("limit", ())

    def first(self, node: Node, *_direction: LarkToken) -> Node:
        return node

    def list(self, *parts: object) -> tuple[Node, ...]:
        return _nodes(parts)

    def disjunction(self, left: Node, _or: LarkToken, right: Node) -> Node:
        return _joined(False, left, right)

    def conjunction(self, left: Node, _and: LarkToken, right: Node) -> Node:
        return _joined(True, left, right)

    def negation(self, _not: LarkToken, operand: Node) -> Node:
        return Negation(operand)

    def comparison(self, left: Node, operator: LarkToken, right: Node | tuple[Node, ...]) -> Node:
        return _predicate(left, operator, right)

    def negated_comparison(
        self, left: Node, _not: LarkToken, operator: LarkToken, right: Node | tuple[Node, ...]
    ) -> Node:
        return _predicate(left, operator, right, negation="NOT ")

    def between(
        self, left: Node, _between: LarkToken, low: Node, _and: LarkToken, high: Node
    ) -> Node:
        return Predicate(left, "BETWEEN", (low, high))

    def not_between(self, left: Node, _not: LarkToken, *bounds: Node | LarkToken) -> Node:
        return Predicate(left, "NOT BETWEEN", _nodes(bounds))

    def identity(self, left: Node, _is: LarkToken, what: LarkToken) -> Node:
        return Predicate(left, f"IS {what.type}", ())

    def not_identity(self, left: Node, _is: LarkToken, _not: LarkToken, what: LarkToken) -> Node:
        return Predicate(left, f"IS NOT {what.type}", ())

    def binary(self, *_parts: object) -> Node:
        return Unsupported("*sqlparser.BinaryExpr")

    def unary(self, sign: LarkToken, operand: Node) -> Node:
        if isinstance(operand, Literal) and not operand.is_string and operand.text[0] not in "+-":
            return Literal(f"{sign}{operand.text}", is_string=False)
        return Unsupported("*sqlparser.UnaryExpr", f"{sign}{_source(operand)}")

    def column(self, *parts: LarkToken) -> Node:
        return Column("".join(map(_content, parts)))

    def string(self, text: LarkToken) -> Node:
        return Literal(_content(text), is_string=True)

    def number(self, text: LarkToken) -> Node:
        return Literal(str(text), is_string=False)

    def boolean(self, word: LarkToken) -> Node:
        return Boolean(word.type == "TRUE")

    def null(self, _word: LarkToken) -> Node:
        return Unsupported("*sqlparser.NullVal")

    def parenthesis(self, _open: LarkToken, content: Node, _close: LarkToken) -> Node:
        return Parenthesis(content)

    def function(self, *_parts: object) -> Node:
        return Unsupported("*sqlparser.FuncExpr")


def _predicate(
    left: Node, operator: LarkToken, right: Node | tuple[Node, ...], negation: str = ""
) -> Predicate:
    name = str(operator) if operator.type == "COMPARE" else operator.type
    return Predicate(left, negation + name, right if isinstance(right, tuple) else (right,))


def _source(node: Node) -> str:
    match node:
        case Literal(text, is_string):
            return f"'{text}'" if is_string else text
        case Column(name):
            return name
        case Parenthesis(Literal() as content):
            return f"({_source(content)})"
        case _:
            return "…"


class _Adjusted(PostLex):
    """Tokens on their way to the parser: a clause's first word counts only before BY."""

    always_accept = _NEVER_ACCEPTED

    def process(self, stream: Iterator[LarkToken]) -> Iterator[LarkToken]:
        """Yields the tokens of a stream."""
        held: LarkToken | None = None
        for token in stream:
            if held is not None:
                # The word itself is refused, not what stands in the place of its BY.
                yield held if token.type == "BY" else held.update(type="RESERVED")
                held = None
            if token.type in ("ORDER", "GROUP"):
                held = token
            else:
                yield token
        if held is not None:
            yield held


_PARSER: Final = Lark(
    _GRAMMAR,
    parser="lalr",
    lexer="basic",
    transformer=_Builder(),
    postlex=_Adjusted(),
    g_regex_flags=re.ASCII,
)


def parse_syntax(query: str, limits: QueryLimits) -> Query:
    """Returns a query's tree.

    Raises:
        InvalidArgumentError: It is not of the grammar, or too long.
    """
    if len(query.encode()) > limits.max_bytes:
        raise InvalidArgumentError(f"invalid query: longer than {limits.max_bytes} bytes")
    parsing = _PARSER.parse_interactive(query)
    nesting = _Nesting()
    try:
        for number, token in enumerate(parsing.iter_parse(), 1):
            if number > limits.max_tokens:
                raise InvalidArgumentError(
                    f"invalid query: more than {limits.max_tokens} words, values and operators"
                )
            if nesting.after(token) >= limits.max_nesting:
                raise _malformed(query, token, "max nesting level reached")
        tree = parsing.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedToken as error:
        raise _malformed(query, error.token, "syntax error") from None
    assert isinstance(tree, Query)
    return tree


class _Nesting:
    """Counts the parentheses and NOTs that are open. A NOT ends where AND or OR begins."""

    def __init__(self) -> None:
        self._negations = [0]
        self._depth = 0

    def after(self, token: LarkToken) -> int:
        """Returns how many are open after a token."""
        match token.type:
            case "NOT":
                self._negations[-1] += 1
                self._depth += 1
            case "AND" | "OR":
                self._depth -= self._negations[-1]
                self._negations[-1] = 0
            case "LPAR":
                self._negations.append(0)
                self._depth += 1
            case "RPAR":
                self._depth -= self._negations.pop() + 1
        return self._depth


def _malformed(query: str, token: LarkToken, problem: str) -> InvalidArgumentError:
    clause = re.match(r"\s*(group|order)\s+by\b", query, re.IGNORECASE)
    at_end = token.type == "$END"
    before = query.rstrip() if at_end else query[: token.end_pos]
    position = (CLAUSE_PREFIX_BYTES if clause else PREFIX_BYTES) + len(before.encode())
    near = "" if at_end else _quoted_in_error(token)
    suffix = f" near '{near}'" if near else ""
    return InvalidArgumentError(
        f"invalid query: malformed SQL query: {problem} at position {position}{suffix}"
    )


def _quoted_in_error(token: LarkToken) -> str:
    match token.type:
        case "NAME" | "QUOTED_NAME" | "STRING":
            return _content(token)
        case "NUMBER" | "BAD_NUMBER":
            return str(token)
        case "OPEN_STRING":
            return str(token)[1:]
        case "UNKNOWN":
            return str(token) if token.startswith("$") else ""
        case _:
            return token.lower() if token[:1].isalpha() else ""


def _content(token: LarkToken) -> str:
    """Returns what stands between a token's quotes, if it has some."""
    match token.type:
        case "QUOTED_NAME":
            return token[1:-1].replace("``", "`")
        case "STRING":
            quote = token[0]
            return re.sub(
                rf"\\(.)|{quote}{quote}",
                lambda match: quote if match[1] is None else _ESCAPES.get(match[1], match[1]),
                token[1:-1],
                flags=re.DOTALL,
            )
        case _:
            return str(token)

"""The grammar of visibility queries and the tree that it gives.

The grammar is wider than what is supported, so that an error can name what is not: arithmetic,
functions and clauses parse, and `parser` refuses them. Trees are built bottom up while parsing,
without recursion, so that no input can exhaust the stack here.
"""

from dataclasses import dataclass
from typing import Final

from lark import Lark, Transformer, v_args
from lark import Token as LarkToken
from lark.exceptions import UnexpectedToken

from perdure.core.visibility.lexer import Token, syntax_error, tokenize

_GRAMMAR: Final = """
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
?primary: NAME (DOT NAME)* -> column
     | STRING -> string
     | NUMBER -> number
     | (TRUE | FALSE) -> boolean
     | NULL -> null
     | LPAR condition RPAR -> parenthesis
     | NAME LPAR (operand (COMMA operand)*)? RPAR -> function

%declare NAME STRING NUMBER COMPARE SIGN TIMES LPAR RPAR COMMA DOT SEMICOLON
%declare AND OR NOT IN BETWEEN IS NULL TRUE FALSE STARTS_WITH LIKE REGEXP
%declare GROUP ORDER BY ASC DESC LIMIT OFFSET
"""


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


def _nodes(children: list[object]) -> tuple[Node, ...]:
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
        return _Clause("group", _nodes(list(parts)))

    def order(self, *parts: object) -> _Clause:
        return _Clause("order", _nodes(list(parts)))

    def limit(self, *_parts: object) -> _Clause:
        return _Clause("limit", ())

    def first(self, node: Node, *_direction: LarkToken) -> Node:
        return node

    def list(self, *parts: object) -> tuple[Node, ...]:
        return _nodes(list(parts))

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
        return Predicate(left, "NOT BETWEEN", _nodes(list(bounds)))

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
        return Column("".join(parts))

    def string(self, text: LarkToken) -> Node:
        return Literal(str(text), is_string=True)

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


_PARSER: Final = Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder())


def parse_syntax(query: str) -> Query:
    """Returns a query's tree.

    Raises:
        InvalidArgumentError: It is not of the grammar, or too long.
    """
    tokens = tokenize(query)
    parsing = _PARSER.parse_interactive()
    current: Token | None = None
    try:
        for current in tokens:
            parsing.feed_token(LarkToken(current.terminal, current.value))
        current = None
        tree = parsing.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedToken:
        raise syntax_error(query, current) from None
    assert isinstance(tree, Query)
    return tree

"""Reads the sources: sizes, words, and what must never be committed."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.paths import ROOT

MOST_LINES_OF_A_FILE = 800
USUAL_LINES_OF_A_FILE = 500
FILES_ABOVE_USUAL = 5
"""How many files of the repository may be longer than usual: each needs its own good reason."""
MOST_LINES_OF_A_FUNCTION = 70
LONGEST_LINE = 100
PRAGMA = re.compile(r"\s*#\s*(type: ignore\[|noqa:).*")
"""What linters are told, at the end of a line: it does not count, as for ruff."""
BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|blacklist|whitelist|utils?)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(work|root|home|tmp)/\w")
BARE_IGNORES = re.compile(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)")
GENERATED = re.compile(
    r"_pb2\.pyi?$|/generated/|/recorded/|package-lock\.json$|requirements\.lock$"
)
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "dist"}
TEXT_SUFFIXES = {
    *(".py", ".pyi", ".proto", ".sql", ".md", ".toml", ".yml", ".yaml", ".json", ".ts", ".js"),
    *(".cfg", ".txt", ".lock", ".sh", ""),
}


def sources() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        if hidden or SKIPPED_FOLDERS & set(parts) or path.suffix not in TEXT_SUFFIXES:
            continue
        if path.is_file():
            yield path


SOURCES = list(sources())
WRITTEN = [path for path in SOURCES if not GENERATED.search(path.as_posix())]
PYTHON = [path for path in WRITTEN if path.suffix == ".py"]
SERVER = [path for path in PYTHON if "server" in path.relative_to(ROOT).parts[:1]]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def occurrences(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{name(path)}:{number}: {line.strip()}"
        for path in paths
        if path != Path(__file__).resolve()
        for number, line in enumerate(lines_of(path), 1)
        if pattern.search(line)
    ]


def test_files_are_short() -> None:
    lengths = {name(path): len(lines_of(path)) for path in PYTHON}
    assert [path for path, length in lengths.items() if length > MOST_LINES_OF_A_FILE] == []
    unusual = [path for path, length in lengths.items() if length > USUAL_LINES_OF_A_FILE]
    assert len(unusual) <= FILES_ABOVE_USUAL, unusual


def test_functions_are_short() -> None:
    long = []
    for path in PYTHON:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{name(path)}: {node.name} has {length} lines")
    assert long == []


def test_lines_are_short() -> None:
    kept = [path for path in WRITTEN if path.suffix in {".py", ".sql", ".proto"}]
    long = [
        f"{name(path)}:{number}"
        for path in kept
        for number, line in enumerate(lines_of(path), 1)
        if len(PRAGMA.sub("", line)) > LONGEST_LINE
    ]
    assert long == []


@pytest.mark.parametrize("pattern", [BANNED_WORDS, BARE_IGNORES], ids=["words", "bare ignores"])
def test_sources_are_free_of(pattern: re.Pattern[str]) -> None:
    assert occurrences(pattern, PYTHON) == []


def test_nothing_names_a_machine() -> None:
    assert occurrences(MACHINE_PATHS, SOURCES) == []


def test_lock_files_name_no_registry() -> None:
    locks = [path for path in SOURCES if path.name in {"requirements.lock", "package-lock.json"}]
    assert occurrences(re.compile(r'://|"resolved"|--[a-z-]*(url|links)|@ file'), locks) == []


def test_modules_say_what_lives_there() -> None:
    silent = [
        name(path)
        for path in SERVER
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_nothing_is_passed_over_in_silence() -> None:
    silent: list[str] = []
    for path in PYTHON:
        handlers = ast.walk(ast.parse(path.read_text("utf-8")))
        silent += [f"{name(path)}:{node.lineno}" for node in handlers if _is_blind(node)]
    assert silent == []


def _is_blind(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    catches_all = node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
    )
    return catches_all and all(isinstance(statement, ast.Pass) for statement in node.body)


def test_the_server_is_no_client() -> None:
    banned = {"client", "worker", "service", "testing", "workflow", "activity", "bridge"}
    found = [
        f"{name(path)}: {module}"
        for path in SERVER
        for module in _imports(path)
        if module.startswith("temporalio.") and module.split(".")[1] in banned
    ]
    assert found == []


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_sources_are_utf8_without_tabs() -> None:
    tabbed = []
    for path in PYTHON:
        with tokenize.open(path) as source:
            if "\t" in source.read():
                tabbed.append(name(path))
    assert tabbed == []

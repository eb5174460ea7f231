"""Loads the named statements of a `.sql` file.

Rules that hold here: a statement starts with `-- name: <name>`, goes on with at least one comment
line that describes it, and ends where the next one starts.
"""

from pathlib import Path

_NAME = "-- name:"


def load_statements(path: Path) -> dict[str, str]:
    """Returns the statements of a file by name, without their comments.

    Raises ValueError when a statement has no description, no text, or a name twice.
    """
    statements: dict[str, str] = {}
    for part in path.read_text(encoding="utf-8").split(_NAME)[1:]:
        first, *lines = part.splitlines()
        name = first.strip()
        described = any(line.startswith("--") for line in lines)
        body = "\n".join(line for line in lines if not line.startswith("--")).strip()
        if name in statements or not described or not body:
            raise ValueError(f"{path.name}: statement {name} is double, empty or not described")
        statements[name] = body.removesuffix(";")
    return statements


def load_migrations(folder: Path) -> dict[int, str]:
    """Returns the migrations of a folder by number; `0001_initial.sql` is number 1.

    Raises ValueError when the numbers are not 1, 2, 3 ….
    """
    files = sorted(folder.glob("[0-9]*.sql"))
    numbers = [int(file.name.split("_")[0]) for file in files]
    if numbers != list(range(1, len(files) + 1)):
        raise ValueError(f"{folder}: migrations are not numbered from 1 without gaps: {numbers}")
    return {
        number: file.read_text(encoding="utf-8")
        for number, file in zip(numbers, files, strict=True)
    }

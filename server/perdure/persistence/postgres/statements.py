"""The named statements of this store."""

from pathlib import Path

from perdure.persistence.sql_files import load_statements

STATEMENTS = load_statements(Path(__file__).parent / "statements.sql")

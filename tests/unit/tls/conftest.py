"""A command line and a folder for every test of `perdure tls`."""

from pathlib import Path

import pytest

from unit.tls.tool import Tool


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Returns the command line, in a folder without an authority."""
    return Tool(tmp_path / "authority", monkeypatch)


@pytest.fixture
def made(tool: Tool) -> Tool:
    """Returns the command line, in a folder with an authority."""
    tool.init()
    return tool

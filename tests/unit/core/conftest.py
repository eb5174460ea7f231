"""The option that has transcripts written anew."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write into the core's transcripts what comes of them now",
    )

"""`python -m observe SERVER-COMMAND`: what `./dev up --observe` becomes."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from observe.children import ChildError
from observe.stack import observe


async def _until_told(server: Sequence[str], folder: Path) -> None:
    """Runs everything until SIGTERM or SIGINT; a second signal cuts the end short."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await observe(server, folder)


def main() -> None:
    """Ends with code 1 when a part ended by itself, or did not start."""
    with TemporaryDirectory(prefix="perdure-observe-") as folder:
        try:
            asyncio.run(_until_told(sys.argv[1:], Path(folder)))
        except ChildError as error:
            raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()

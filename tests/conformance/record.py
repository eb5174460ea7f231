"""Asks the real dev server and writes, prints or checks what it answers.

python -m conformance.record                    records every scenario
python -m conformance.record NAME…              records some
python -m conformance.record --print NAME…      prints the answers, writes nothing
python -m conformance.record --check            compares with the files, writes nothing
python -m conformance.record --address H:P …    uses a server that runs already
"""

import argparse
import sys
import traceback
from contextlib import ExitStack
from importlib.metadata import version

from conformance.compare import differences
from conformance.recording import RecordedAnswers, pretty
from conformance.scenario import Scenario
from conformance.scenarios import load
from conformance.targets import Servers, oracle_command, oracle_version, run_sync


def main(arguments: list[str]) -> int:
    """Runs the command line; returns the number of scenarios that failed or differ."""
    options = _parser().parse_args(arguments)
    known = load()
    chosen = [known[name] for name in options.names] or list(known.values())
    versions = (oracle_version(), version("temporalio"))
    with ExitStack() as parts:
        servers = Servers(oracle_command(), options.address, parts)
        return sum(not _record(item, servers.address(item), versions, options) for item in chosen)


def answers(chosen: Scenario, address: str, versions: tuple[str, str]) -> RecordedAnswers:
    """Runs a scenario against the real server at `address`."""
    return RecordedAnswers(*versions, run_sync(chosen, address).steps)


def _record(
    chosen: Scenario, address: str, versions: tuple[str, str], options: argparse.Namespace
) -> bool:
    try:
        found = answers(chosen, address, versions)
    except Exception:  # noqa: BLE001 - a report over all scenarios
        print(f"FAILED {chosen.name}")
        traceback.print_exc()
        return False
    if options.print:
        print(pretty(found.steps))
    elif options.check:
        text = differences(RecordedAnswers.load(chosen.name).steps, found.steps)
        print(f"differs {chosen.name}\n{text}" if text else f"same {chosen.name}")
        return not text
    else:
        found.save(chosen.name)
        print(f"recorded {chosen.name}")
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all when left out")
    parser.add_argument("--address", help="host:port of a server that runs already")
    parser.add_argument("--print", action="store_true", help="print and write nothing")
    parser.add_argument("--check", action="store_true", help="compare with the files")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

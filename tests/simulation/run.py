"""The command: runs seeds, shows progress, and writes what went wrong.

Rules that hold here: a seed's result depends on nothing but the seed, so seeds are shared out to as
many processes as there are processors.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten

from simulation.harness import Report, simulate

SEEDS_FILE = Path(__file__).with_name("seeds.txt")
SHOWN_VIOLATIONS = 5
SHOWN_CHARACTERS = 300
PROGRESS_SECONDS = 2.0


def read_seeds(path: Path = SEEDS_FILE) -> list[int]:
    """Returns the regression seeds: those that found a bug once."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [int(line) for line in lines if line]


def run_seeds(seeds: Sequence[int], *, jobs: int) -> Iterator[Report]:
    """Yields a report for each seed, in any order; traces only of those that failed."""
    if jobs == 1:
        yield from map(_run_one, seeds)
        return
    context = multiprocessing.get_context("spawn")
    # What was imported is no garbage: collections need not look at it.
    with context.Pool(jobs, initializer=gc.freeze) as pool:
        yield from pool.imap_unordered(_run_one, seeds, chunksize=4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code, which is 1 when an invariant was broken."""
    options = _parser().parse_args(arguments)
    if options.seeds is not None:
        seeds = list(range(options.start, options.start + options.seeds))
    else:
        seeds = read_seeds()
    gc.freeze()
    began = time.monotonic()
    failed: list[Report] = []
    totals: Counter[str] = Counter()
    shown = began
    for count, report in enumerate(run_seeds(seeds, jobs=options.jobs), start=1):
        totals.update({name: round(number) for name, number in report.statistics.items()})
        if report.violations:
            failed.append(report)
            _write_trace(report, options.traces)
        if time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            print(f"{count}/{len(seeds)} seeds, {len(failed)} failed", file=sys.stderr)
    failed.sort(key=lambda report: report.seed)
    summary = {
        "seeds": len(seeds),
        "failed": [{"seed": each.seed, "violations": each.violations} for each in failed],
        "seconds": round(time.monotonic() - began, 1),
        "totals": dict(totals),
    }
    if options.output == "json":
        print(json.dumps(summary, indent=2))
    else:
        _print(failed, summary, options.traces)
    return 1 if failed else 0


def _run_one(seed: int) -> Report:
    report = simulate(seed)
    # What a run leaves behind are cycles of tasks, which only a collection frees.
    gc.collect()
    return report


def _write_trace(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{report.seed}.txt").write_text("\n".join(report.trace) + "\n")


def _print(failed: Sequence[Report], summary: dict[str, object], folder: Path) -> None:
    for report in failed:
        print(f"seed {report.seed}: {len(report.violations)} violations")
        for violation in report.violations[:SHOWN_VIOLATIONS]:
            print(f"  {shorten(violation, SHOWN_CHARACTERS)}")
        print(f"  trace: {folder / f'seed-{report.seed}.txt'}")
    print(f"{summary['seeds']} seeds in {summary['seconds']} s, {len(failed)} failed")
    print(f"totals: {summary['totals']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev simulate", description="Runs a cluster on a virtual clock, with seeded faults."
    )
    parser.add_argument("--seeds", type=int, help="how many; without it, the regression seeds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    parser.add_argument(
        "--traces",
        type=Path,
        default=Path(".perdure/simulation"),
        help="the folder for the traces of failed seeds",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

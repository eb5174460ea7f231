"""What a server under the load tells on its metrics port."""

import asyncio
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from conformance.metrics import load
from conformance.targets import dev_server, free_port
from waiting import until_sync

REPORT_SECONDS = 30.0
_PARTS = ("_bucket", "_sum", "_count")


@dataclass(frozen=True, slots=True)
class Exported:
    """One metric of a scrape.

    Attributes:
        kind: counter, gauge or histogram.
        labels: The names of its labels; without `le`.
        samples: Values by labels: of a histogram how many values it has counted.
    """

    kind: str
    labels: frozenset[str]
    samples: Mapping[frozenset[tuple[str, str]], float]

    def total(self, **labels: str) -> float:
        """Returns the sum of all series that have these labels."""
        wanted = set(labels.items())
        return sum(value for key, value in self.samples.items() if wanted <= key)


Scrape = Mapping[str, Exported]


def under_load(command: Sequence[str]) -> Scrape:
    """Starts a server, puts the load on it, and returns what it tells then."""
    port = free_port()
    with dev_server(command, flags=[f"--metrics-port={port}"]) as server:
        asyncio.run(load.run(server.address))
        scrape: Scrape = {}

        def counted() -> bool:
            nonlocal scrape
            scrape = read(f"http://127.0.0.1:{port}/metrics")
            requests = scrape["service_requests"]
            return bool(requests.total(operation=load.LAST_RPC, service_name="frontend"))

        # The real server tells what has happened in intervals.
        until_sync(counted, REPORT_SECONDS, pause_seconds=0.2)
        return scrape


def read(url: str) -> Scrape:
    """Scrapes an endpoint."""
    with urllib.request.urlopen(url) as response:  # noqa: S310 it is http
        return parse(response.read().decode())


def parse(text: str) -> Scrape:
    """Returns the metrics of a scrape in the text format."""
    kinds = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = _name(sample.name, kinds)
            if kinds.get(name) == "histogram" and not sample.name.endswith("_count"):
                continue
            labels = frozenset((key, value) for key, value in sample.labels.items() if key != "le")
            samples[name][labels] = sample.value
    return {
        name: Exported(kinds[name], frozenset(key for key, _ in next(iter(values))), values)
        for name, values in samples.items()
        if name in kinds and values
    }


def _name(sample: str, kinds: Mapping[str, str]) -> str:
    """Returns the metric that a sample is of."""
    if sample in kinds:
        return sample
    if kinds.get(counter := sample.removesuffix("_total")) == "counter":
        # The parser gives counters the suffix that OpenMetrics wants.
        return counter
    for part in _PARTS:
        stem = sample.removesuffix(part)
        if stem != sample and kinds.get(stem) == "histogram":
            return stem
    return sample

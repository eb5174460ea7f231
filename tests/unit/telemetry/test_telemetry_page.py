"""The page about metrics has all of them, as they are declared."""

import re

from perdure.telemetry import catalogue
from workbench.paths import ROOT

_ROW = re.compile(r"^\| `[a-z_]+` \| (?:counter|gauge|histogram) \| .*$", re.MULTILINE)


def test_the_page_lists_every_metric_as_it_is_declared() -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
    expected = [
        f"| `{metric.name}` | {metric.kind.value} | {', '.join(metric.labels)} | {metric.help} |"
        for metric in catalogue.CATALOGUE
    ]
    assert _ROW.findall(page) == expected

"""The boards: what they ask for exists, and what they say helps."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ops.expressions import faults, kept, legend_labels
from perdure_alerts.rules import groups
from perdure_dashboards.rendering import files
from workbench.paths import ROOT

FILES = files()
BOARDS: dict[str, Any] = {name: json.loads(text) for name, text in FILES.items()}
DRAWN = {"timeseries", "stat"}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def targets() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{name} {panel['title']}", panel, target


def test_every_expression_names_what_the_catalogue_has() -> None:
    found = [f"{where}: {fault}" for where, _, each in targets() for fault in faults(each["expr"])]
    assert found == []


def test_legends_name_labels_that_are_there() -> None:
    missing = [
        where
        for where, _, target in targets()
        if legend_labels(target["legendFormat"]) - kept(target["expr"])
    ]
    assert missing == []


def test_annotations_name_what_the_catalogue_has() -> None:
    for board in BOARDS.values():
        for annotation in board["annotations"]["list"]:
            assert faults(annotation["expr"]) == []


def test_series_of_a_panel_can_be_told_apart() -> None:
    for where, panel, target in targets():
        labels = legend_labels(target["legendFormat"])
        assert labels == kept(target["expr"]) - {"le"}, where
        legends = [each["legendFormat"] for each in panel["targets"]]
        assert len(set(legends)) == len(legends), where


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_to_do_and_has_a_unit(name: str) -> None:
    for panel in panels(BOARDS[name]):
        assert panel["type"] in DRAWN, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        grid = panel["gridPos"]
        cells = {
            (grid["x"] + column, grid["y"] + line)
            for column in range(grid["w"])
            for line in range(grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        taken |= cells
    identifiers = [panel["id"] for panel in BOARDS[name]["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_variables_that_are_used_are_declared() -> None:
    built_in = {"__rate_interval"}
    for name, board in BOARDS.items():
        declared = {variable["name"] for variable in board["templating"]["list"]}
        text = json.dumps([board["panels"], board["annotations"]])
        used = set(re.findall(r"\$\{?(\w+)", text))
        assert used - built_in <= declared, name
        assert declared - {"datasource"} <= used | {"namespace"}, name


def test_boards_that_alerts_name_exist() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    assert {alert.board for group in groups() for alert in group.alerts} <= uids
    assert {f"{uid}.json" for uid in uids} == BOARDS.keys()


def test_the_committed_files_are_those_that_are_generated() -> None:
    folder = ROOT / "dashboards" / "generated"
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == FILES

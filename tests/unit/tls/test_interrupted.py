"""Commands that are killed (SIGKILL) at any of their changes to the disk, and run again.

A process is forked, runs the command, and kills itself right before its n-th replacement or removal
of a file, for every n until it comes to its end. Whatever it leaves must be a folder that verifies,
whose published files and certificates in use are whole, and that the same command brings to the end
that it would have had.
"""

import os
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from perdure_tls import files
from unit.tls.tool import Tool

DAY = timedelta(days=1)
NODE, CLIENT = "internode-localhost", "client-default-w1"
RESUME = ("rotate", "resume", "--without-peers")
MOST_CHANGES = 200


def dies_at_change(number: int) -> None:
    """Lets this process kill itself right before its n-th change of what a file's name means."""
    left = number

    def counted(change: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            change(*arguments)

        return run

    # Of this process only, which ends before it returns to pytest.
    for name in ("_rename", "remove"):
        setattr(files.Disk, name, counted(getattr(files.Disk, name)))


def killed(tool: Tool, number: int, *arguments: object) -> bool:
    """Runs a command in a process that dies at its n-th change; tells whether it did."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dies_at_change(number)
            code = tool.run(*arguments).exit_code
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) in {0, 3}
    return False


def restored(tool: Tool, saved: Path) -> None:
    shutil.rmtree(tool.path)
    shutil.copytree(saved, tool.path, symlinks=True)


def shape(tool: Tool) -> tuple[object, ...]:
    """Returns what does not differ between two runs of one command: all but keys and times."""
    state = tool.state
    held = {
        name: (entry.newest.issuer, entry.current, sorted(entry.generations))
        for name, entry in state.certificates.items()
    }
    rotation = state.rotation
    stands = rotation and (rotation.phase, rotation.new_root, rotation.new_issuer)
    paths = sorted(path.relative_to(tool.path).as_posix() for path in tool.path.rglob("*"))
    authorities = (sorted(state.roots), sorted(state.intermediates), state.trust, state.issuer)
    return (held, stands, authorities, paths)


def check_left(tool: Tool) -> None:
    """Checks what a killed command leaves for those who read the folder before it is run again."""
    published = ("trust.pem of", "crl.pem of", "denied.json of")
    wrong = [
        said
        for said in tool.failures()
        # Published files may be behind the state by one commit; certificates in use may not.
        if not said.startswith(("published of", "identity of")) or said.startswith(published)
    ]
    assert wrong == []


def check_every_change(tool: Tool, saved: Path, *arguments: object) -> int:
    """Kills a rotation at every change, and resumes it; returns how many changes it makes."""
    shutil.copytree(tool.path, saved, symlinks=True)
    before = tool.state
    code = tool.run(*arguments).exit_code
    wanted = shape(tool)
    for number in range(1, MOST_CHANGES):
        restored(tool, saved)
        if not killed(tool, number, *arguments):
            assert shape(tool) == wanted
            return number - 1
        check_left(tool)
        # Where nothing was stored there is nothing to resume.
        again = tool.run(*(arguments if tool.state == before else RESUME))
        assert again.exit_code == code, again.output
        assert shape(tool) == wanted
        assert tool.failures() == []
    raise AssertionError("the command does not end")


@pytest.fixture
def cluster(made: Tool) -> Tool:
    """Returns an authority with a node and a client."""
    made.issue("internode", "localhost")
    made.issue("client", "w1")
    return made


@pytest.mark.parametrize("kind", ["leaf", "intermediate", "root"])
def test_a_rotation_that_is_killed_at_any_change(cluster: Tool, kind: str, tmp_path: Path) -> None:
    command = ("rotate", kind, "--without-peers")
    changes = []
    for wait in ("spread", "overlap") if kind == "root" else ("overlap",):
        changes.append(check_every_change(cluster, tmp_path / wait, *command))
        assert cluster.state.rotation is not None
        assert cluster.state.rotation.phase == wait
        cluster.later += DAY
    changes.append(check_every_change(cluster, tmp_path / "end", *command))
    assert cluster.state.rotation is None
    assert min(changes) > 2


@pytest.mark.parametrize("kind", ["leaf", "intermediate", "root"])
def test_a_rollback_that_is_killed_at_any_change(cluster: Tool, kind: str, tmp_path: Path) -> None:
    assert cluster.run("rotate", kind, "--without-peers").exit_code == 3
    back = ("rotate", "rollback", "--without-peers")
    if kind == "root":
        cluster.later += DAY
        assert cluster.run("rotate", "resume", "--without-peers").exit_code == 3
        assert check_every_change(cluster, tmp_path / "linger", *back) > 2
        cluster.later += DAY
    assert check_every_change(cluster, tmp_path / "end", *back) > 2
    assert cluster.state.rotation is None
    assert {entry.current for entry in cluster.state.certificates.values()} == {1}


def test_a_rollback_before_the_issue_that_is_killed_at_any_change(
    cluster: Tool, tmp_path: Path
) -> None:
    assert cluster.run("rotate", "root").exit_code == 3
    back = ("rotate", "rollback")
    assert check_every_change(cluster, tmp_path / "trusted", *back) >= 3
    assert list(cluster.state.roots) == [1]


@pytest.mark.parametrize(
    "command",
    [
        ("renew", "--force"),
        ("revoke", CLIENT),
        ("revoke", "--spiffe-id", "spiffe://example.com/ns/default/role/client/host/w1"),
    ],
    ids=["renew", "revoke", "deny"],
)
def test_commands_that_are_killed_at_any_change(
    cluster: Tool, command: tuple[str, ...], tmp_path: Path
) -> None:
    """These may have been done already when they are run again: then they say so."""
    saved = tmp_path / "saved"
    shutil.copytree(cluster.path, saved, symlinks=True)
    number = 1
    while killed(cluster, number, *command):
        check_left(cluster)
        cluster.json("renew")  # any next command brings the folder in line
        wrong = cluster.failures()
        denied = [said for said in wrong if said.startswith("revocation of")]
        assert wrong == denied
        restored(cluster, saved)
        number += 1
    assert number > 2


def test_an_issue_that_is_killed_at_any_change(made: Tool, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    shutil.copytree(made.path, saved, symlinks=True)
    command = ("issue", "--role", "client", "--host", "w1", "--host", "w2")
    number = 1
    while killed(made, number, *command):
        made.json("renew")
        assert made.failures() == []
        names = sorted(path.name for path in made.path.glob("certificates/*"))
        assert names == sorted(made.state.certificates)
        assert len(names) in {0, 2}
        restored(made, saved)
        number += 1
    assert len(made.state.certificates) == 2


def test_an_init_that_is_killed_at_any_change(tool: Tool) -> None:
    command = ("init", "--trust-domain", "example.com")
    number = 1
    while killed(tool, number, *command):
        again = tool.run(*command)
        assert again.exit_code == 0 or "holds an authority already" in again.output
        tool.json("renew")
        assert tool.failures() == []
        shutil.rmtree(tool.path)
        number += 1
    assert number > 8

"""The folder's rules: whole files, secret keys, one writer at a time, and others' files stay."""

import errno
import os
import stat
from pathlib import Path

import pytest

from perdure_tls import files
from perdure_tls.errors import TlsError
from perdure_tls.files import Disk
from unit.tls.tool import Tool


class Watching(Disk):
    """A disk that looks at what is written, right before it gets its name."""

    def __init__(self) -> None:
        self.modes: list[str] = []
        self.contents: list[bytes] = []

    def _rename(self, source: Path, target: Path) -> None:
        self.modes.append(oct(stat.S_IMODE(source.stat().st_mode)))
        self.contents.append(source.read_bytes())
        super()._rename(source, target)


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    disk = Watching()
    previous = os.umask(0)
    try:
        disk.write(tmp_path / "new" / "key.pem", b"secret", files.KEY_MODE)
        disk.write(tmp_path / "new" / "key.pem", b"another", files.KEY_MODE)
    finally:
        os.umask(previous)
    assert disk.modes == ["0o400", "0o400"]
    assert disk.contents == [b"secret", b"another"]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert (tmp_path / "new/key.pem").read_bytes() == b"another"


def test_what_an_interrupted_write_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".new-a").write_bytes(b"half")
    (tmp_path / ".new-link").symlink_to("nowhere")
    Disk().write(tmp_path / "a", b"whole")
    Disk().point(tmp_path / "link", "a")
    assert (tmp_path / "link").read_bytes() == b"whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "link"]


def test_a_link_is_moved_in_one_step(tmp_path: Path) -> None:
    for target in ("1", "2"):
        (tmp_path / target).mkdir()
        Disk().point(tmp_path / "current", target)
        assert (tmp_path / "current").readlink() == Path(target)


def test_one_writer_at_a_time(made: Tool) -> None:
    with files.locked(made.path):
        said = made.refused("issue", "--role", "client", "--host", "w1")
        assert f"Another perdure tls command changes {made.path}" in said
        assert made.failures() == []  # readers need not wait
    made.issue("client", "w1")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="cannot be written"), files.locked(tmp_path / "none"):
        raise AssertionError("it is locked")


@pytest.mark.parametrize(
    ("mode", "fine"),
    [
        *((0o400, True), (0o600, True), (0o700, True), (0o440, True), (0o640, True)),
        *((0o404, False), (0o460, False), (0o401, False), (0o402, False), (0o410, False)),
    ],
)
def test_modes_of_keys(tmp_path: Path, mode: int, fine: bool) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"secret")
    path.chmod(mode)
    if fine:
        assert files.read_secret(path) == b"secret"
        return
    with pytest.raises(TlsError, match=f"has mode {mode:04o}, so that others can use it"):
        files.read_secret(path)


def test_a_full_disk(made: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    left = 3

    def fill(disk: Disk, path: Path, data: bytes, mode: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        filled(disk, path, data, mode)

    filled = Disk._fill
    with monkeypatch.context() as patched:
        patched.setattr(Disk, "_fill", fill)
        said = made.refused("issue", "--role", "client", "--host", "w1")
    assert said == "Error: No space left on device."
    assert made.failures() == []
    made.issue("client", "w1")
    assert made.failures() == []


def test_leftovers_go_and_others_files_stay(made: Tool) -> None:
    name = made.issue("client", "w1")
    kept = [
        made.path / "notes.txt",
        made.path / "roots/README",
        made.path / "certificates/README",
        made.path / "certificates/mine/tls.crt",
        made.folder.holder(name) / "request.pem",
        made.folder.generation(name, 1) / "bundle.pem",
    ]
    gone = [
        made.path / ".new-state.json",
        made.path / "published/.new-crl.pem",
        made.path / "roots/7/key.pem",
        made.path / "roots/1/crl-9.pem",
        made.path / "intermediates/7/certificate.pem",
        made.folder.holder(name) / "9/key.pem",
        made.path / "certificates/client-default-w9/1/key.pem",
    ]
    for path in (*kept, *gone):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    made.json("renew")
    assert [path for path in kept if not path.exists()] == []
    assert [path for path in gone if path.exists()] == []
    assert made.failures() == []

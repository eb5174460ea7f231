"""`perdure tls rotate`: replaces certificates without a moment in which a peer is refused."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from perdure.app import tables
from perdure_tls import folder as folders
from perdure_tls import handshakes, probing, rotation
from perdure_tls.authority import INTERMEDIATE_LIFETIME, ROOT_LIFETIME
from perdure_tls.commands import shared
from perdure_tls.durations import Lifetime
from perdure_tls.errors import TlsError, Waiting
from perdure_tls.folder import Folder
from perdure_tls.rotating import OVERLAP, Performer
from perdure_tls.rotation import Verify
from perdure_tls.state import Kind, Rotation, State, changed

_DISTRIBUTE = (
    "bring published/ and the certificates to every host, then run this again with --peer HOST:PORT"
    " for each listener, or with --without-peers when you have seen yourself that all use them"
)
Enter = Callable[[State], State]
"""Returns the state with the wanted rotation under way."""


@click.group("rotate")
def command() -> None:
    """Replace certificates, an intermediate or the root, in phases that can be resumed.

    Code 3 says that the rotation waits, and for what: go on with `resume` until it ends with 0.
    """


@dataclass(frozen=True, slots=True)
class _Run:
    """How a rotation is performed this time."""

    folder: Folder
    peers: tuple[str, ...]
    without_peers: bool
    dry_run: bool
    output: str


def _performed(command: shared.Command) -> shared.Command:
    """Adds the options of how to perform, and gives the command a `_Run` of them."""

    @functools.wraps(command)
    def run(
        *,
        directory: Path,
        peer: tuple[str, ...],
        without_peers: bool,
        dry_run: bool,
        passphrase_file: Path | None,
        root_key: Path | None,
        root_passphrase_file: Path | None,
        output: str,
        **more: Any,
    ) -> None:
        with shared.said_in_a_sentence():
            folder = shared.opened(
                directory,
                passphrase_file=passphrase_file,
                root_key=root_key,
                root_passphrase_file=root_passphrase_file,
            )
            command(_Run(folder, peer, without_peers, dry_run, output), **more)

    return shared.with_options(
        run,
        shared.of_folder,
        click.option("--peer", multiple=True, help="HOST:PORT or HOST:PORT=NAME of a listener."),
        click.option("--without-peers", is_flag=True, help="Take it that all peers are ready."),
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        click.option(
            "--root-key",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The root's key, when it is not in the folder.",
        ),
        shared.with_root_passphrase,
        shared.with_passphrase,
        shared.printed,
    )


_overlap = click.option("--overlap", type=Lifetime(), default=OVERLAP, help="Default: 24h.")


@command.command("leaf")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_overlap
@_performed
def leaf(run: _Run, *, names: tuple[str, ...], overlap: timedelta) -> None:
    """Give holders new keys and certificates, all unless NAMEs are given."""
    _perform(run, _begun(run, Kind.LEAF, overlap, names=names))


@command.command("intermediate")
@_overlap
@click.option("--lifetime", type=Lifetime(), default=INTERMEDIATE_LIFETIME, help="Default: 730d.")
@_performed
def intermediate(run: _Run, *, overlap: timedelta, lifetime: timedelta) -> None:
    """Make a new intermediate, and issue every certificate by it."""
    _perform(run, _begun(run, Kind.INTERMEDIATE, overlap, lifetime=lifetime))


@command.command("root")
@_overlap
@click.option("--lifetime", type=Lifetime(), default=ROOT_LIFETIME, help="Default: 3650d.")
@_performed
def root(run: _Run, *, overlap: timedelta, lifetime: timedelta) -> None:
    """Make a new root and intermediate, trust it everywhere, and issue every certificate by it."""
    _perform(run, _begun(run, Kind.ROOT, overlap, lifetime=lifetime))


@command.command("resume")
@_performed
def resume(run: _Run) -> None:
    """Go on with the rotation under way, in its direction; without one, nothing is to be done."""
    _perform(run, lambda state: state)


@command.command("rollback")
@_performed
def rollback(run: _Run) -> None:
    """Go back to what was in use before the rotation; possible until the old is dropped."""

    def turned(state: State) -> State:
        current = state.rotation
        return state if current and rotation.goes_back(current) else rotation.turn_back(state)

    _perform(run, turned)


@command.command("status")
@shared.of_folder
@shared.printed
def status(directory: Path, output: str) -> None:
    """Show the rotation that is under way."""
    with shared.said_in_a_sentence():
        folder = shared.opened(directory)
        state = folder.state()
        ahead = rotation.plan(state, folder.now())
    _print(state.rotation, {"ahead": ahead}, output)


def _begun(
    run: _Run,
    kind: Kind,
    overlap: timedelta,
    *,
    lifetime: timedelta | None = None,
    names: tuple[str, ...] = (),
) -> Enter:
    """Returns what begins a rotation, or finds it under way."""

    def enter(state: State) -> State:
        current = state.rotation
        if current is None:
            return rotation.begin(
                state,
                kind,
                now=run.folder.now(),
                overlap=overlap,
                lifetime=lifetime,
                names=names,
            )
        if rotation.goes_back(current):
            raise TlsError("The rotation goes back: finish that with perdure tls rotate resume.")
        if current.kind != kind:
            raise TlsError(
                f"A rotation of the {current.kind} is under way: finish it, or roll it back."
            )
        return state

    return enter


def _perform(run: _Run, enter: Enter) -> None:
    """Goes on as far as it can; ends with the code of waiting when that is not the end."""
    for text in run.peers:
        handshakes.parse_peer(text)
    folder = run.folder
    if run.dry_run:
        state = _with_peers(enter(folder.state()), run.peers)
        _print(state.rotation, {"would": rotation.plan(state, folder.now())}, run.output)
        return
    done: list[str] = []
    waiting = ""
    with folders.changing(folder) as before:
        state = _with_peers(enter(before), run.peers)
        if state != before:
            folder.commit(state)
        try:
            Performer(folder, functools.partial(_unready, run)).run(state, done.append)
        except Waiting as wait:
            waiting = str(wait)
    _print(folder.state().rotation, {"done": done, "waiting": waiting}, run.output)
    if waiting:
        raise click.exceptions.Exit(shared.WAITING_EXIT_CODE)


def _with_peers(state: State, peers: tuple[str, ...]) -> State:
    """Returns the state with the peers that are asked from now on."""
    if state.rotation is None or not peers:
        return state
    return changed(state, rotation=changed(state.rotation, peers=peers))


def _unready(run: _Run, state: State, wanted: Verify) -> list[str]:
    """Returns what keeps the rotation from going on."""
    if run.without_peers:
        return []
    peers = tuple(handshakes.parse_peer(text) for text in rotation.under_way(state).peers)
    return probing.unready(run.folder, state, peers, wanted) if peers else [_DISTRIBUTE]


def _print(under_way: Rotation | None, more: dict[str, object], output: str) -> None:
    plain = None
    if under_way is not None:
        plain = under_way.model_dump(mode="json", exclude_none=True)
    if output == "json":
        tables.print_json({"rotation": plain, **more})
        return
    if under_way is not None and plain is not None:
        plain["phases"] = " → ".join(rotation.phases(under_way))
        tables.print_fields(plain, title="Rotation")
    else:
        click.echo("No rotation is under way.")
    for label, value in more.items():
        for sentence in value if isinstance(value, list) else [value]:
            if sentence:
                click.echo(f"{label}: {sentence}")

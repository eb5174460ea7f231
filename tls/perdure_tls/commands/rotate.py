"""`perdure tls rotate`: replaces certificates without a moment in which a peer is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from perdure.app import tables
from perdure_tls import folder as folders
from perdure_tls import handshakes, probing, rotation
from perdure_tls.authority import INTERMEDIATE_LIFETIME, ROOT_LIFETIME, Lifetimes
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
Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class _Start:
    """A rotation that is wanted."""

    kind: Kind
    overlap: timedelta
    names: tuple[str, ...] = ()


@click.group("rotate")
def command() -> None:
    """Replace certificates, an intermediate or the root, in phases that can be resumed.

    Run it again until it ends with code 0; code 3 says that it waits, and for what.
    """


def _of_peers(command: Command) -> Command:
    options = (
        click.option("--peer", multiple=True, help="HOST:PORT or HOST:PORT=NAME of a listener."),
        click.option("--without-peers", is_flag=True, help="Take it that all peers are ready."),
        shared.with_passphrase,
        shared.printed,
    )
    for option in reversed(options):
        command = option(command)
    return shared.of_folder(command)


def _of_start(command: Command) -> Command:
    options = (
        click.option("--overlap", type=Lifetime(), default=OVERLAP, help="Default: 24h."),
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _of_root(command: Command) -> Command:
    option = click.option(
        "--root-key",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The root's key, when it is not in the folder.",
    )
    return option(shared.with_root_passphrase(command))


@command.command("leaf")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_of_peers
@_of_start
def leaf(
    *,
    directory: Path,
    names: tuple[str, ...],
    peer: tuple[str, ...],
    without_peers: bool,
    overlap: timedelta,
    dry_run: bool,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Give holders new keys and certificates, all unless NAMEs are given."""
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        start = _Start(Kind.LEAF, overlap, names)
        _rotate(
            folder,
            start,
            peer,
            without_peers=without_peers,
            dry_run=dry_run,
            output=output,
            lifetimes=Lifetimes(),
        )


@command.command("intermediate")
@_of_peers
@_of_start
@_of_root
@click.option("--lifetime", type=Lifetime(), default=INTERMEDIATE_LIFETIME, help="Default: 730d.")
def intermediate(
    *,
    directory: Path,
    peer: tuple[str, ...],
    without_peers: bool,
    overlap: timedelta,
    dry_run: bool,
    passphrase_file: Path | None,
    root_key: Path | None,
    root_passphrase_file: Path | None,
    lifetime: timedelta,
    output: str,
) -> None:
    """Make a new intermediate, and issue every certificate by it."""
    with shared.said_in_a_sentence():
        folder = shared.opened(
            directory,
            passphrase_file=passphrase_file,
            root_key=root_key,
            root_passphrase_file=root_passphrase_file,
        )
        lifetimes = Lifetimes(intermediate=lifetime)
        start = _Start(Kind.INTERMEDIATE, overlap)
        _rotate(
            folder,
            start,
            peer,
            without_peers=without_peers,
            dry_run=dry_run,
            output=output,
            lifetimes=lifetimes,
        )


@command.command("root")
@_of_peers
@_of_start
@_of_root
@click.option("--lifetime", type=Lifetime(), default=ROOT_LIFETIME, help="Default: 3650d.")
def root(
    *,
    directory: Path,
    peer: tuple[str, ...],
    without_peers: bool,
    overlap: timedelta,
    dry_run: bool,
    passphrase_file: Path | None,
    root_key: Path | None,
    root_passphrase_file: Path | None,
    lifetime: timedelta,
    output: str,
) -> None:
    """Make a new root and intermediate, trust it everywhere, and issue every certificate by it."""
    with shared.said_in_a_sentence():
        folder = shared.opened(
            directory,
            passphrase_file=passphrase_file,
            root_key=root_key,
            root_passphrase_file=root_passphrase_file,
        )
        start = _Start(Kind.ROOT, overlap)
        _rotate(
            folder,
            start,
            peer,
            without_peers=without_peers,
            dry_run=dry_run,
            output=output,
            lifetimes=Lifetimes(root=lifetime),
        )


@command.command("rollback")
@_of_peers
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def rollback(
    *,
    directory: Path,
    peer: tuple[str, ...],
    without_peers: bool,
    dry_run: bool,
    passphrase_file: Path | None,
    output: str,
) -> None:
    """Go back to what was in use before the rotation; possible until the old is dropped."""
    with shared.said_in_a_sentence():
        folder = shared.opened(directory, passphrase_file=passphrase_file)
        _rotate(
            folder,
            None,
            peer,
            without_peers=without_peers,
            dry_run=dry_run,
            output=output,
            lifetimes=Lifetimes(),
        )


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


def _rotate(
    folder: Folder,
    start: _Start | None,
    peers: tuple[str, ...],
    *,
    without_peers: bool,
    dry_run: bool,
    output: str,
    lifetimes: Lifetimes,
) -> None:
    """Starts, resumes or (without a start) turns round, and goes on as far as it can."""
    parsed = tuple(handshakes.parse_peer(text) for text in peers)
    if dry_run:
        state = _entered(folder, folder.state(), start, peers)
        _print(state.rotation, {"would": rotation.plan(state, folder.now())}, output)
        return
    done: list[str] = []
    waiting = ""
    with folders.changing(folder) as before:
        state = _entered(folder, before, start, peers)
        if state != before:
            folder.commit(state)
        known = parsed or tuple(
            handshakes.parse_peer(text) for text in rotation.under_way(state).peers
        )

        def verify(now_state: State, wanted: Verify) -> list[str]:
            if without_peers:
                return []
            if not known:
                return [_DISTRIBUTE]
            return probing.unready(folder, now_state, known, wanted)

        try:
            Performer(folder, verify, lifetimes).run(state, done.append)
        except Waiting as wait:
            waiting = str(wait)
    _print(folder.state().rotation, {"done": done, "waiting": waiting}, output)
    if waiting:
        raise click.exceptions.Exit(shared.WAITING_EXIT_CODE)


def _entered(folder: Folder, state: State, start: _Start | None, peers: tuple[str, ...]) -> State:
    """Returns the state with the wanted rotation under way."""
    current = state.rotation
    if start is None:
        if current is None or not rotation.goes_back(current):
            state = rotation.turn_back(state)
    elif current is None:
        state = rotation.begin(
            state, start.kind, now=folder.now(), overlap=start.overlap, names=start.names
        )
    elif rotation.goes_back(current):
        raise TlsError("The rotation goes back: finish that with perdure tls rotate rollback.")
    elif current.kind != start.kind:
        raise TlsError(
            f"A rotation of the {current.kind} is under way: finish it, or roll it back."
        )
    if peers:
        state = changed(state, rotation=changed(rotation.under_way(state), peers=peers))
    return state


def _print(under_way: Rotation | None, more: dict[str, object], output: str) -> None:
    plain = None
    if under_way is not None:
        plain = under_way.model_dump(mode="json", exclude_none=True)
    if output == "json":
        tables.print_json({"rotation": plain, **more})
        return
    if plain is not None:
        plain["phases"] = " → ".join(rotation.phases(under_way)) if under_way else ""
        tables.print_fields(plain, title="Rotation")
    else:
        click.echo("No rotation is under way.")
    for label, value in more.items():
        for sentence in value if isinstance(value, list) else [value]:
            if sentence:
                click.echo(f"{label}: {sentence}")

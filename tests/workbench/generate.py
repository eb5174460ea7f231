"""`./dev generate`: the committed Python code of our own protobuf messages, and boards and pages.

Dashboards and alert rules come from the packages that describe them, the page about metrics from
the catalogue.

The public messages that ours refer to come from the installed `temporalio` distribution, which
carries no .proto files: their descriptors are handed to the compiler instead. The compiler names
modules after the .proto path (`temporal.api`), so imports are renamed to where they are.
"""

import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import grpc_tools
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from perdure_alerts import rendering as rules
from perdure_dashboards import rendering as boards
from workbench import metrics_page
from workbench.paths import ROOT, SERVER

SOURCES = ("perdure/proto/internode.proto", "perdure/proto/stored.proto")
_PUBLIC_SOURCE = re.compile(r'^import "temporal/api/([^"]+)\.proto";', re.MULTILINE)
_PUBLIC_IMPORT = re.compile(r"^(from|import) temporal\.api\.", re.MULTILINE)
_GOOGLE_SOURCES = Path(grpc_tools.__file__).parent / "_proto"
_STUB_PLUGIN = Path(sys.executable).parent / "protoc-gen-mypy"


class GenerationError(Exception):
    """The compiler refused a source; its own message is on stderr."""


@click.command()
@click.option("--check", is_flag=True, help="Only tell whether the committed files are current.")
def command(check: bool) -> None:
    """Generate the protobuf modules, the dashboards, the alert rules, the page about metrics."""
    generated = generate()
    stale = [path.relative_to(ROOT) for path in outdated(generated)]
    if not check:
        write(generated)
        click.echo(
            f"wrote {', '.join(map(str, stale))}" if stale else "generated files are current"
        )
    elif stale:
        raise click.ClickException(f"run ./dev generate: {', '.join(map(str, stale))} differ")


def generate() -> dict[Path, str]:
    """Returns the generated files by their place in the repository.

    Raises:
        GenerationError: The compiler refused a source.
    """
    return {
        **_modules_of_messages(),
        **{ROOT / "dashboards/generated" / name: text for name, text in boards.files().items()},
        **{ROOT / "alerts/generated" / name: text for name, text in rules.files().items()},
        ROOT / "docs/metrics.md": metrics_page.page(),
    }


def _modules_of_messages() -> dict[Path, str]:
    """Returns the modules and type stubs of our protobuf messages.

    Raises:
        GenerationError: The compiler refused a source.
    """
    with TemporaryDirectory() as scratch:
        out = Path(scratch)
        public = out / "public.binpb"
        public.write_bytes(_public_descriptors().SerializeToString())
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={SERVER}",
                f"--proto_path={_GOOGLE_SOURCES}",
                f"--descriptor_set_in={public}",
                f"--plugin=protoc-gen-mypy={_STUB_PLUGIN}",
                f"--python_out={out}",
                f"--mypy_out=quiet:{out}",
                *SOURCES,
            ]
        )
        if code:
            raise GenerationError(f"the protobuf compiler ended with code {code}")
        return {SERVER / path.relative_to(out): _finish(path) for path in _modules(out)}


def outdated(generated: dict[Path, str]) -> list[Path]:
    """Returns the committed files that are missing or differ from what was generated."""
    return [
        path
        for path, text in generated.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def write(generated: dict[Path, str]) -> None:
    """Writes the generated files to their places."""
    for path, text in generated.items():
        path.write_text(text, encoding="utf-8")


def _modules(out: Path) -> Iterable[Path]:
    return sorted(path for path in out.rglob("*") if path.suffix in {".py", ".pyi"})


def _finish(path: Path) -> str:
    return _PUBLIC_IMPORT.sub(r"\1 temporalio.api.", path.read_text(encoding="utf-8"))


def _public_descriptors() -> FileDescriptorSet:
    found: dict[str, FileDescriptor] = {}
    for source in SOURCES:
        for name in _PUBLIC_SOURCE.findall((SERVER / source).read_text(encoding="utf-8")):
            module = import_module(f"temporalio.api.{name.replace('/', '.')}_pb2")
            _collect(module.DESCRIPTOR, found)
    files = []
    for descriptor in found.values():
        file = FileDescriptorProto()
        descriptor.CopyToProto(file)
        files.append(file)
    return FileDescriptorSet(file=files)


def _collect(descriptor: FileDescriptor, found: dict[str, FileDescriptor]) -> None:
    for dependency in descriptor.dependencies:
        _collect(dependency, found)
    found.setdefault(descriptor.name, descriptor)

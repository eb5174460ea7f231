"""The commands of `./dev`."""

import click

from workbench import build, check, generate, lock, run, test


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Work on Perdure: run it, check it, test it, measure it."""


main.add_command(run.up)
main.add_command(test.command, "test")
main.add_command(check.command, "check")
main.add_command(run.bench)
main.add_command(run.simulate)
main.add_command(run.chaos)
main.add_command(generate.command, "generate")
main.add_command(lock.command, "lock")
main.add_command(build.command, "build")

if __name__ == "__main__":
    main(prog_name="./dev")

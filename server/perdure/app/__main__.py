"""`python -m perdure.app`: the command without an installed script, as the supervisor runs it."""

from perdure.app.cli import main

main(prog_name="perdure")

"""What `./dev` runs: one module per command, and what they share.

Rules that hold here: a command prints one line per step, says in a sentence what is missing on the
machine, and ends with the exit code of what it ran. Nothing of the server imports this package.
"""

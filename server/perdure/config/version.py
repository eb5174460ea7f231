"""The version of this distribution: read by the build, printed by the CLI, reported to clients."""

VERSION = "0.1.0"

"""The version of this distribution: read by the build, printed by the CLI, reported to clients."""

VERSION = "0.1.0"

FORMAT = 1
"""The newest format of stored rows and of calls between nodes that this release reads.

It rises with every change that an older release could not read. What only the new format can say
is written once every live node of the cluster reads it.
"""

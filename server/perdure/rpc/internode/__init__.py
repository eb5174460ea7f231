"""The roles' Protocols between machines: the same methods over gRPC, and who is asked.

`wire` says how each method travels, `serving` is the far end, `link` and `peers` the near one,
`routing` and `matching` find the owner of a workflow or queue and ask it, wherever it is. Rules
that hold here: all of it follows one table that is made of the Protocols themselves; what a role
raises is raised at the other end as it was; a request that may have been carried out is sent again
only where that does no harm.
"""

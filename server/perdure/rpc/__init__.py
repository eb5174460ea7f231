"""Where roles meet, and how the outside world reaches them.

The Protocols by which roles call each other (`clients`), the gRPC server that adapts handlers to
grpc.aio (`server`, `dispatch`, `status`, `health`, `reflection`), and what all roles read of the
cluster's metadata (`namespaces`, `search_attributes`).

Rule that holds here: handlers know nothing of grpc.aio, so that the transport can be replaced.
"""

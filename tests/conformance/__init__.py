"""Conformance: one scenario, the real dev server and Perdure, the same observations.

A scenario (package `conformance.scenarios`) drives a server by its public API only and returns a
`Recording` of what it saw. The answers of the real server are committed under `recorded/`; the
tests run every scenario against Perdure and compare. What differs on purpose is named in
`conformance.deviations`.
"""

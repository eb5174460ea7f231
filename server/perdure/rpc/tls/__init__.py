"""Certificates of this process: read, checked, shown, renewed while it runs.

`material` says what ports and connections need, `loading` makes it from files or refuses them,
`following` does so again when they change, `credentials` gives it to gRPC, and `gate` refuses
those whose certificate was revoked. Rules that hold here: what is used was checked as a whole; a
broken file changes nothing but a log and a metric; no key is ever shown. Only `loading` imports
OpenSSL's wrapper, and nothing imports that where there is no TLS.
"""

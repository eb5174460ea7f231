"""The form of requests: one module per kind of field. Texts of errors are the real server's.

Every check raises `perdure.core.errors.InvalidArgumentError` unless it says otherwise.
"""

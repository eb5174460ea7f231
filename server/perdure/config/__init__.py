"""Configuration: the setting type and its registry, and the static configuration file.

Rules that hold here: a setting is declared once, beside its user, with type, default, unit and
text; values are converted once, when the server starts, and handed on as plain arguments; whatever
cannot be used is said in one sentence that names the fix.
"""

"""The visibility query language and search attributes.

`parser` makes a `query` tree of text, `attributes` decodes search attributes; both check types
against `catalogue`. Rules that hold here: nothing knows of SQL or of a store; texts of errors are
the real server's; work is bounded whatever the input is.
"""

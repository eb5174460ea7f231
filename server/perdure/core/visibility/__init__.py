"""The visibility query language and search attributes.

`syntax` makes a tree of text, `checking` gives it types from the `catalogue`, `normal` brings it
into the form that stores plan by; `parser` is the door to all of it. `attributes` decodes search
attributes. Rules that hold here: nothing knows of SQL or of a store; texts of errors are the real
server's; work is bounded whatever the input is.
"""

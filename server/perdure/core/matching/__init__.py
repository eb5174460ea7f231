"""The rules of matching: which task goes first, what memory holds, when rows are read again.

Pure and synchronous: time arrives as an argument, in seconds on any clock that never goes back.
"""

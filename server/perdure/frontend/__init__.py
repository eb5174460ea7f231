"""The public RPCs: validation, defaults, namespaces, and the way to history and matching.

One module per RPC family; `services` puts them together. Rules that hold here: no state but caches;
a request is refused in the real server's words and in its order, where several things are wrong;
what does not exist yet is refused by name, never half done; handlers change the request they were
given (it is theirs) rather than copy it.
"""

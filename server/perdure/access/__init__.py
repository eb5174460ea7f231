"""Who may call what: claims of callers, what each RPC asks for, and the guard in front of handlers.

Rules that hold here: nothing of this is loaded, and no call is touched, unless an authorizer is
configured; then whatever is not allowed is refused. A caller learns that it was refused, never why;
the log says why. Only this package decides: handlers behind the guard ask nobody again.
"""

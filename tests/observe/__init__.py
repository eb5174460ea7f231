"""`./dev up --observe`: a server with a demo load, and beside it Prometheus and Alertmanager.

Rules that hold here: everything listens on loopback; everything but the database is in a folder
that ends with the command; no child outlives it, whatever it died of.
"""

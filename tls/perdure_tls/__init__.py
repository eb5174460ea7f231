"""Certificates of a Perdure cluster: authority, issue, rotation, verification."""

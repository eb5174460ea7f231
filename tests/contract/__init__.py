"""One suite for every store: what `perdure.persistence.ports` promises, asked of each."""

"""Work that no request waits for: retention, batch jobs, scavengers, archival."""

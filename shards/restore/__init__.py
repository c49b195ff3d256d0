"""Which copy of a session to restore, and restoring it."""

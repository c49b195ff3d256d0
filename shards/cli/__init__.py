"""`blazz archive` and `blazz keys`: they need the formats of this package, so `daemon.cli` finds them by name.

Each command is one small function in `archive` or `keys`; what it does is in a module of its own.
"""

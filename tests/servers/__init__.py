"""Real servers for tests: each function starts one for the length of a `with` block and leaves nothing behind."""

"""Everything that lives in Redis, and the only room that talks to it."""

"""When to back a session up, and doing it: hot copy to Redis, archive to R2."""

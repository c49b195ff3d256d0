"""Redis and an S3 server for one machine, and what starts them together with the daemon.

Used by bin/up, by tests and by small installations. The rest of the daemon knows neither of them: it sees REDIS_URL
and R2_ENDPOINT, as it would with servers elsewhere.
"""

"""Everything that lives in Redis: names, records, leases, membership, streams, hot copies. The only room that talks to it."""

"""The shard processes: each runs many sessions in Chromium. They meet the coordinator only in Redis and R2."""

"""One session's life on this shard, from lease to release."""

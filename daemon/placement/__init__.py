"""Which shard a session belongs on: a consistent-hash ring with bounded loads, and plans. Pure: no I/O, no clock."""

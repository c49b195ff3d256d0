"""The shared core and the coordinator process; shards may import from here, never the other way round."""

"""The guard: a process beside each shard that ends Chromium when the shard itself cannot. Imports next to nothing."""

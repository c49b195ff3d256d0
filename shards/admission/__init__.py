"""Admission: when a session of this shard may start, by the host's memory, its CPUs and how many start already."""

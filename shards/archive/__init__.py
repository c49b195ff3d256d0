"""Archives: a snapshot as one verified zip, and back. Knows nothing of browsers, Redis or S3.

The same bytes are the hot copy in Redis and the archive in the object store.
"""

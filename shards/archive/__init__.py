"""Copies of a session: a snapshot as one verified archive or hot copy, and back. Knows no browser, Redis or S3.

An archive is a zip, for the object store; a hot copy is one Zstandard frame, for Redis. Either may be in an envelope of
AES-256-GCM. Reading tells them apart by their first bytes.
"""

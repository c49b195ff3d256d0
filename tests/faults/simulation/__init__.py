"""A small world in which faults are tried by the hundred: real shards, coordinators, Redis and S3; no Chromium.

Shards and coordinators are real processes of the product, forked from a process that has imported everything, and run
at a faster pace. In Chromium's place is a process that does what matters here: it holds the session at WhatsApp for as
long as it lives. WhatsApp's place is taken by the judge, who sees every holder of every session. `python -m
tests.faults.simulation --seed N` runs one schedule and prints what happened.
"""

"""`bin/up --demo`: the daemon under supervisord on real Redis, S3 and Chromium, taken through its main job.

WhatsApp Web is played by `tests.standin`, Laravel by a small receiver of webhooks. Everything it leaves is in var/demo.
"""

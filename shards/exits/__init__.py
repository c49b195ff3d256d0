"""supervisord's event listener: tells the coordinators at once that a shard of this host has ended.

It only shortens waiting. Without it, leases end by their TTL, and Chromium processes by PR_SET_PDEATHSIG and by the
sweep of the shard's next process.
"""

"""A session's profile on disk: which files count, where they are kept, and consistent copies of them.

Works on files only: neither Chromium nor a store is talked to here.
"""

"""The platform's own database, which is read and never written, and the only room that talks to it.

`PlatformDatabase` is what the other rooms use.
"""

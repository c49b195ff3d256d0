"""A stand-in for web.whatsapp.com, for tests, benchmarks and the demo.

It serves a page on which unmodified wa-js, whatsapp-web.js and wppconnect run, and plays the server and the phone
behind it. What it proves and what it leaves out is listed in README.md beside this file. It must stay honest to all
three clients: nothing here may know how this project's own driver works.
"""

from tests.standin.server import StandIn

__all__ = ["StandIn"]

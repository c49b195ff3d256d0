"""Telling Laravel what happened: event bodies, signature, retry schedule, and the dispatcher that delivers."""

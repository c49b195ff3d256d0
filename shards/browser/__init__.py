"""Chromium: its flags, its process group, its exit, and the DevTools connection. Knows nothing of WhatsApp."""

"""Browsers as devices: the server that their pages talk to, and that commands reach them through."""

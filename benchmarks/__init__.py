"""Measurements of whole commands beside those of peers, on this machine's loopback."""

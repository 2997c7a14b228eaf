"""Agents: one folder each, of shell files and a short class; ``contract`` says what every agent offers."""

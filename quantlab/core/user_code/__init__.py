"""Readings of code and values of the user's, for their hash."""

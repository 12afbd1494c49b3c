"""Whole runs: what a command does once its settings are known."""

"""Runners: life and death of the processes that serve an app."""

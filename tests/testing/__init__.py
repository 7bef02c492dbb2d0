"""Tests of the test client."""

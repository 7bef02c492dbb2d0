"""Tests of the protocol half: bytes in, events out; answers in, bytes out."""

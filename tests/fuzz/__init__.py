"""Input that nobody wrote by hand, and input cut where nobody would cut it."""

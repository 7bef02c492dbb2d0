"""What the operating system knows, behind small functions."""

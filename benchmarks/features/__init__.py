"""What each of microsock's own features adds to a request."""

"""Bytes in, events out: the only place that knows h11 and wsproto. Knows no socket, no clock and no app."""

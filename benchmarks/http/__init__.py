"""HTTP/1.1: small requests of several kinds, bodies both ways, many connections, TLS, rest and start."""

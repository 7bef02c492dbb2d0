"""WebSockets: echo, publish, idle connections and start-up, driven by a client of our own."""

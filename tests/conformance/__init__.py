"""Raw bytes in, raw bytes out: what HTTP/1.1 and the WebSocket handshake ask of a server, case by case."""

"""The world outside: sockets, the selector, clocks and signals. What is above may know them, nothing below."""

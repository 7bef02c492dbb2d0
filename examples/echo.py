"""Both shapes of a WebSocket handler. Run it with `python -m microsock examples/echo.py`.

Then talk to it from a second terminal (`pip install websockets` brings the command):

    websockets ws://127.0.0.1:8080/echo
    websockets ws://127.0.0.1:8080/guess
"""

from __future__ import annotations

import random

from microsock import App, Waiting, WebSocket, sleep

app = App()


@app.websocket("/echo")
def echo(ws: WebSocket, message: str | bytes) -> str | bytes:
    """A plain function is called once per message; what it returns is sent back."""
    return message


@app.websocket("/guess")
def guess(ws: WebSocket) -> Waiting[None]:
    """A generator function runs once per connection, and its local variables are the conversation's memory."""
    secret = random.randint(1, 100)
    ws.send("I think of a number from 1 to 100. Which one is it?")
    tries = 0
    while (number := (yield from read_number(ws))) != secret:
        tries += 1
        ws.send("It is larger." if number < secret else "It is smaller.")
    yield from sleep(0.5)  # waits without holding up anybody else
    ws.send(f"Yes! You needed {tries + 1} tries.")


def read_number(ws: WebSocket) -> Waiting[int]:
    """Ask until the answer is a number. A helper may wait as well: call it with `yield from`."""
    while True:
        answer = yield from ws.text()
        if answer.strip().isdecimal():
            return int(answer)
        ws.send("Please type a number.")

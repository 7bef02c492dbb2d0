# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, check-untyped-defs
# pyright: basic
"""An app as the README shows it, without annotations: no false alarms, in mypy nor in pyright."""

from microsock import App, abort, sleep

app = App()


@app.get("/")
def index(request):
    return "Hello, World!"


@app.get("/users/{id:int}")
def user(request, id):
    return {"id": id} if id else abort(404)


@app.route("/notes", methods=["GET", "POST"])
def notes(request):
    if request.method == "POST":
        return {"saved": request.json()}, 201
    return []


@app.error(404)
def missing(request, error):
    return {"error": "not found", "path": request.path}, 404


@app.error
def failed(request, error):
    return error.type


@app.on_response
def stamp(request, response):
    response.headers["X-Served-By"] = "microsock"


@app.get("/ticks")
def ticks(request):
    for number in range(3):
        yield f"{number}\n"
        yield from sleep(1)


@app.websocket("/chat/{room}")
def chat(ws, message, room):
    app.publish(room, f"{ws.id}: {message}")


@chat.on_upgrade
def admitted(request, room):
    if room == "secret":
        abort(403)


@chat.on_open
def joined(ws, room):
    ws.subscribe(room)


@chat.on_close
def left(ws, code, reason):
    app.publish(ws.params["room"], f"{ws.id} left")


@chat.on_error
def broken(ws, error):
    return True


@app.websocket("/quiz")
def quiz(ws):
    ws.send("your name?")
    name = yield from ws.text()
    yield from sleep(1)
    ws.send(f"hello {name}")

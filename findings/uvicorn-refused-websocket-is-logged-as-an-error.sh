#!/usr/bin/env bash
# What:        uvicorn 0.54.0 with websockets 17.4
# Seen:        2026-11-29
# Naive guess: an application that refuses a websocket with an HTTP answer of its own, as the ASGI extension
#              websocket.http.response has it, is done then: nothing is logged above INFO.
# Seen:        with ws="websockets-sansio", which "auto" takes by now, the client gets the answer, and then every such
#              refusal is logged as ERROR "ASGI callable returned without completing handshake.". The deprecated
#              "websockets" logs no error for the same application. Alarms that count errors go off at every stranger.
# Product:     refusals of strangers are counted and logged by the server itself; its log filter leaves this line out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 websockets==17.4
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import logging
import socket
import sys
import threading
import time

import uvicorn
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


async def refuse(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
        await send({"type": "websocket.http.response.body", "body": b"no"})


def errors_logged(implementation):
    records = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(refuse, ws=implementation, lifespan="off", log_config=None))
    logging.getLogger("uvicorn.error").addHandler(handler)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        try:
            connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
            status = None
        except InvalidStatus as error:
            status = error.response.status_code
    finally:
        server.should_exit = True
        thread.join()
        logging.getLogger("uvicorn.error").removeHandler(handler)
    return status, [record.getMessage() for record in records]


found = {name: errors_logged(name) for name in ("websockets", "websockets-sansio")}
for name, (status, logged) in found.items():
    print(f"{name}: HTTP {status}, errors logged: {logged}")
as_seen = found["websockets"] == (403, []) and found["websockets-sansio"] == (
    403,
    ["ASGI callable returned without completing handshake."],
)
sys.exit(0 if as_seen else 1)
PYTHON

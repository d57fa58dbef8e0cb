#!/usr/bin/env bash
# What:        Starlette 1.10.0, TestClient
# Seen:        2026-11-29
# Naive guess: TestClient(app, base_url="http://127.0.0.1") sends that host with everything it asks, so an application that
#              checks Host can be tested for HTTP and for websockets alike.
# Seen:        GET sends Host 127.0.0.1, websocket_connect sends Host testserver: the base is joined for HTTP alone, and a
#              check of the host seems broken for websockets only.
# Product:     not affected: tests of the host check make their requests by hand.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check starlette==1.10.0 httpx2==2.16.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient


async def page(request):
    return PlainTextResponse(request.headers["host"])


async def socket(websocket):
    await websocket.accept()
    await websocket.send_text(websocket.headers["host"])
    await websocket.close()


app = Starlette(routes=[Route("/page", page), WebSocketRoute("/socket", socket)])
client = TestClient(app, base_url="http://127.0.0.1")
by_http = client.get("/page").text
with client.websocket_connect("/socket") as connection:
    by_websocket = connection.receive_text()
print(f"Host by GET: {by_http}, by websocket_connect: {by_websocket}")
sys.exit(0 if (by_http, by_websocket) == ("127.0.0.1", "testserver") else 1)
PYTHON

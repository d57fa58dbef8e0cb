#!/usr/bin/env bash
# What:        huggingface_hub 2.4.0
# Seen:        2026-11-29
# Naive guess: a hub that answers 401 for a model that is not there (as the public one does, so that private names cannot
#              be told from missing ones) raises RepositoryNotFoundError, whatever the endpoint's scheme.
# Seen:        a mirror by plain http (HF_ENDPOINT=http://...), as it stands in many a lab, raises a bare HfHubHTTPError for
#              the same answer: the rule looks for an https address. Code that catches RepositoryNotFoundError to say "no
#              such model" says nothing of use there.
# Product:     heliograph.hub takes 401 and 404 of any hub for "no such model, or not for everybody"; tested.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


class Mirror(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Mirror)
threading.Thread(target=server.serve_forever, daemon=True).start()

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

try:
    HfApi(endpoint=f"http://127.0.0.1:{server.server_port}").model_info("owner/missing", timeout=5)
    kind = None
except HfHubHTTPError as error:
    kind = type(error)
server.shutdown()
print(f"401 of a mirror by http: {kind.__name__ if kind else 'no error'}")
sys.exit(0 if kind is HfHubHTTPError and not issubclass(kind, RepositoryNotFoundError) else 1)
PYTHON

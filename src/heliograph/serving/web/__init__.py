"""The cloud behind an ASGI server; the one place that imports starlette and uvicorn."""

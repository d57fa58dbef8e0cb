"""How the bytes of a session travel: websocket, in-process pair, and a shaped link around either."""

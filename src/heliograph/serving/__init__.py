"""The cloud application: sessions over websockets, one model thread shared fairly, health and metrics."""

"""The tap: the one place where restored tokens enter an unmodified vision-language model.

A model of nearly every family makes visual tokens in one method and nowhere else, and its own ``forward`` calls it::

    pixels --get_image_features--> output with tokens --forward--> language model

Inside :func:`intercepted` that attribute of that one instance is a dispatcher which asks a handler instead; afterwards
the instance is as before. No weight, class or source line of the model changes. See ``docs/decisions/0004-tap.md``.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from heliograph.errors import ModelUnsupportedError

METHOD = "get_image_features"
NO_PLACE = "its program has no place where restored tokens could stand in for a photo's own."
Handler = Callable[..., Any]
"""``handler(original, *args, **kwargs)`` to what the method shall return."""

_install_lock = threading.Lock()


def find_owner(model: nn.Module) -> nn.Module:
    """The innermost module whose ``forward`` calls its own ``get_image_features``.

    Raises:
        ModelUnsupportedError: there is none.
    """
    found = None
    for module in model.modules():
        if callable(getattr(module, METHOD, None)) and f"self.{METHOD}(" in _forward_source(module):
            found = module
    if found is None:
        raise ModelUnsupportedError().noted(NO_PLACE)
    return found


def _forward_source(module: nn.Module) -> str:
    try:
        return inspect.getsource(type(module).forward)
    except (OSError, TypeError):
        return ""


@contextmanager
def intercepted(owner: nn.Module, handler: Handler, method: str = METHOD) -> Iterator[None]:
    """A context in which this thread's calls of ``owner.get_image_features``, or of another method, go to ``handler``.

    Other threads see the model as it was; contexts may be nested, the innermost one counts; leaving always
    restores the instance, also after an exception.
    """
    dispatcher = _install(owner, method)
    try:
        with dispatcher.handing_to(handler):
            yield
    finally:
        _uninstall(owner, dispatcher, method)


@contextmanager
def feed_output(owner: nn.Module, output: Any) -> Iterator[None]:
    """A context in which this thread's forward passes with pixels get ``output`` in place of encoded pixels."""
    with intercepted(owner, lambda original, *args, **kwargs: output):
        yield


def _install(owner: nn.Module, method: str) -> _Dispatcher:
    with _install_lock:
        present = owner.__dict__.get(method)
        if isinstance(present, _Dispatcher):
            present.users += 1
            return present
        dispatcher = _Dispatcher(getattr(owner, method), present)
        owner.__dict__[method] = dispatcher
        return dispatcher


def _uninstall(owner: nn.Module, dispatcher: _Dispatcher, method: str) -> None:
    with _install_lock:
        dispatcher.users -= 1
        if dispatcher.users or owner.__dict__.get(method) is not dispatcher:
            return
        if dispatcher.previous is None:
            del owner.__dict__[method]
        else:
            owner.__dict__[method] = dispatcher.previous


class _Dispatcher:
    """Stands in for the bound method: a handler for threads that gave one, the original for all others."""

    def __init__(self, original: Callable[..., Any], previous: Any) -> None:
        self.original = original
        self.previous = previous  # an instance attribute that somebody else had put there, or None
        self.users = 1
        self.__signature__ = inspect.signature(original)  # ``generate`` and others ask it what the method takes
        self._handlers = threading.local()

    @contextmanager
    def handing_to(self, handler: Handler) -> Iterator[None]:
        stack: list[Handler] = self._handlers.__dict__.setdefault("stack", [])
        stack.append(handler)
        try:
            yield
        finally:
            stack.pop()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        stack = self._handlers.__dict__.get("stack")
        return stack[-1](self.original, *args, **kwargs) if stack else self.original(*args, **kwargs)

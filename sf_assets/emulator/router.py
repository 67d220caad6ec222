"""Which function answers which resource."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from sf_assets.emulator.errors import ApiError, not_found
from sf_assets.emulator.messages import Reply, Request

Handler = Callable[..., Reply]
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Route:
    """A method and a path of a resource; `{name}` in the path is handed to the function.

    Attributes:
        since: The API version that brought it.
    """

    method: str
    path: str
    handler: Handler
    since: float = 0

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches the path in any case, with or without a slash at its end."""
        return re.compile(_PLACEHOLDER.sub(r"(?P<\1>[^/]+)", self.path) + "/?", re.IGNORECASE)


class Router:
    """Finds the function for a request.

    Args:
        routes: In order of preference.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(route.pattern, route) for route in routes]

    def answer(self, request: Request) -> Reply:
        """Call the function for a request.

        Args:
            request: Its path is still percent-encoded, so that a slash may be part of a value.

        Raises:
            ApiError: NOT_FOUND for an unknown path, METHOD_NOT_ALLOWED for another method.
        """
        allowed = []
        for pattern, route in self._routes:
            if request.version and float(request.version) < route.since:
                continue
            if match := pattern.fullmatch(request.path):
                if route.method == request.method or (route.method, request.method) == (
                    "GET",
                    "HEAD",
                ):
                    names = {name: unquote(value) for name, value in match.groupdict().items()}
                    return route.handler(request, **names)
                allowed.append(route.method)
        if not allowed:
            raise not_found()
        message = f"HTTP Method '{request.method}' not allowed. Allowed are "
        raise ApiError(405, "METHOD_NOT_ALLOWED", message + ",".join(dict.fromkeys(allowed)))

"""A token that a browser must know before it sees anything."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from bokeh.server.auth_provider import AuthProvider
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

_PAGE = """<!doctype html><meta name="viewport" content="width=device-width"><title>shotsort</title>
<body style="background:#0d1117;color:#e3e9f0;font:15px system-ui,sans-serif;display:grid;place-items:center;height:90vh">
<form method="post"><h1 style="font-size:18px">shotsort</h1><p>This explorer asks for a token{note}.</p>
<input name="token" type="password" autofocus aria-label="token" style="font:inherit;padding:6px">
<button style="font:inherit;padding:6px">Open</button>
</form></body>"""


class TokenAccess(AuthProvider):
    """Lets in who gives ``token``: in the address (``?token=``), in the form, or in the cookie that either leaves.

    The cookie holds a hash of the token and belongs to the port, as browsers keep one jar for all ports of a host.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self.cookie = f"shotsort-{port}"
        self.word = hashlib.sha256(f"shotsort {token}".encode()).hexdigest()
        super().__init__()

    def admits(self, token: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def let_in(self, handler: RequestHandler) -> None:
        """Let the browser remember that it knows the token."""
        handler.set_cookie(self.cookie, self.word, httponly=True, samesite="Strict")

    @property
    def get_user(self) -> Any:
        """Who asks: one name for all that know the token, None for the others."""

        def user(handler: RequestHandler) -> str | None:
            if self.admits(handler.get_argument("token", "")):
                if not isinstance(handler, WebSocketHandler):  # which has the page's address, but can set no cookie
                    self.let_in(handler)
                return "known"
            held = handler.get_cookie(self.cookie) or ""
            return "known" if hmac.compare_digest(held.encode(), self.word.encode()) else None

        return user

    @property
    def get_user_async(self) -> None:
        """Not needed."""

    @property
    def login_url(self) -> str:
        """Where a browser that is not known goes."""
        return "/login"

    @property
    def get_login_url(self) -> None:
        """The same for everybody."""

    @property
    def login_handler(self) -> type[RequestHandler]:
        """The form that asks for the token."""
        access = self

        class Login(RequestHandler):
            """Asks for the token."""

            def get(self) -> None:
                self.write(_PAGE.format(note=""))

            def post(self) -> None:
                if access.admits(self.get_body_argument("token", "")):
                    access.let_in(self)
                    self.redirect("/")
                else:
                    self.set_status(403)
                    self.write(_PAGE.format(note="; that was not it"))

        return Login

    @property
    def logout_url(self) -> None:
        """There is none: close the browser."""

    @property
    def logout_handler(self) -> None:
        """There is none."""

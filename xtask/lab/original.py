"""Runs the Python original's command line with a stub instead of GitHub, whose address it has no setting for.

usage: GITHUB_STUB=http://127.0.0.1:PORT original.py ARGUMENTS...
"""
import os

import httpx
from covered.cli import app

STUB = httpx.URL(os.environ["GITHUB_STUB"])
CAMO = "https://camo.githubusercontent.com/"


class Redirected(httpx.AsyncHTTPTransport):
    """Sends requests for GitHub and its image proxy to the stub, and replaces the stub's image URLs with the proxy's."""

    async def handle_async_request(self, request):
        if request.url.host == "camo.githubusercontent.com":
            path = "/camo" + request.url.path
        elif request.url.host == "api.github.com":
            path = request.url.path
        else:
            return await super().handle_async_request(request)
        request.url = STUB.copy_with(path=path)
        request.headers["host"] = request.url.netloc.decode()
        response = await super().handle_async_request(request)
        text = (await response.aread()).decode()
        return httpx.Response(response.status_code, text=text.replace(f"{STUB}/camo/", CAMO))


plain = httpx.AsyncClient.__init__
httpx.AsyncClient.__init__ = lambda self, **options: plain(self, **options, transport=Redirected())
app()

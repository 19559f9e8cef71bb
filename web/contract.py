"""The contract with bots: the JSON Schema of a body and of every answer, for whoever writes a sender."""

import msgspec
from quart import Response, abort

from engine.services import Services
from web.answers import contract
from web.compressing import compress
from web.routes import Route, Who, get


class ContractPage:
    """The address of the contract in one app."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> tuple[Route, ...]:
        """Return the route, without a session."""
        return (get("/api/webhooks/schema.json", Who.ANYONE, self.show),)

    async def show(self) -> Response:
        """Answer with the contract of the source that bots sign for; 404 if it describes none."""
        body = self._services.studio.body_schema()
        if body is None:
            abort(404)
        answer = msgspec.json.encode(contract(body))
        return await compress(Response(answer, content_type="application/json"))

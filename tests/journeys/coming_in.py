"""The sign-ins that start journeys: a link of the command line, a password, a second factor."""

import json

import httpx
import pyotp
from browser_free import User, new_client
from journey_place import Place, run_cli

PASSWORD = "several calm words in a row"


def link(place: Place, *command: str) -> str:
    """Return the path of the link that a command prints, such as ``user link NAME``."""
    return (
        "/"
        + str(json.loads(run_cli(*command, "--json", cwd=place.folder))["link"]).split("/", 3)[3]
    )


def come_in(place: Place, *command: str, client: httpx.Client | None = None) -> User:
    """Sign in by the one-time link that a command prints, and set a password."""
    user, way = User(place.url, client or new_client()), link(place, *command)
    user.get(way)
    user.post(way)
    user.post("/security/password", password=PASSWORD, again=PASSWORD)
    return user


def operator(place: Place, client: httpx.Client | None = None) -> tuple[User, str]:
    """Sign in as a new operator, ``ops``, with both factors; return the browser and the second
    factor's secret.
    """
    user = come_in(place, "operator", "create", "ops", client=client)
    user.get("/security/second-factor")
    secret = user.value("secret")
    user.post("/security/second-factor", secret=secret, code=pyotp.TOTP(secret).now())
    return user, secret

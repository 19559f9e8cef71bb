"""Senders for one endpoint, ready to paste: shell, and Python with its standard library only.

A person copies them as text. A test runs them against a served place.
"""

from typing import Final

PLACEHOLDER: Final = "whsec_YOUR_SECRET"

_PYTHON: Final = """import hashlib, hmac, json, sys, time, urllib.error, urllib.request, uuid

URL = "{url}"
SECRET = "{secret}"

def send(**signal):
    body = json.dumps({{"idempotency_key": str(uuid.uuid4()), **signal}}).encode()
    at = str(int(time.time()))
    mac = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {{"Content-Type": "application/json", "X-RexAlgo-Signature": f"t={{at}},v1={{mac}}"}}
    with urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=10) as answer:
        return json.load(answer)

try:
    print(send(action="open", symbol="{symbol}", side="LONG", test=True))  # leave test out to trade
except urllib.error.HTTPError as refused:
    sys.exit(f"refused with {{refused.code}}: {{refused.read().decode()}}")
"""
_SHELL: Final = """URL="{url}"
SECRET="{secret}"
BODY='{{"idempotency_key":"'"$(date +%s%N)"'","action":"open","symbol":"{symbol}","side":"LONG","test":true}}'
AT=$(date +%s)
MAC=$(printf %s "$AT.$BODY" | openssl dgst -sha256 -hmac "$SECRET" | sed "s/^.* //")
curl -sS "$URL" -H "Content-Type: application/json" -H "X-RexAlgo-Signature: t=$AT,v1=$MAC" --data-raw "$BODY"
"""


def python_sender(url: str, secret: str, symbol: str) -> str:
    """Return a sender in Python, with the RexAlgo signature."""
    return _PYTHON.format(url=url, secret=secret, symbol=symbol)


def shell_sender(url: str, secret: str, symbol: str) -> str:
    """Return a sender with curl and openssl, with the RexAlgo signature."""
    return _SHELL.format(url=url, secret=secret, symbol=symbol)

#!/usr/bin/env python3
"""A client of Rollcall's v2 API, to be copied: Python 3.9 or later, and the
package cryptography (on Debian: python3-cryptography). A demonstration is below.

    python3 rollcall.py CREDENTIALS-FILE
"""

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import sys
import threading
import time
import typing
import urllib.parse

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class RollcallError(Exception):
    """An answer with another code than 0. Match on code, never on message; by its
    log_uuid the operator of the service finds the request and why it was refused."""

    def __init__(self, code, message, log_uuid):
        super().__init__(f"code {code}, {message} (logUUID {log_uuid})")
        self.code, self.message, self.log_uuid = code, message, log_uuid


class Sessions(typing.NamedTuple):
    """What check_sessions has found: the active sessions, oldest first. Where partial is
    true some may be missing for the moment, so that none does not mean nobody plays."""

    active: list
    partial: bool


class Rollcall:
    """Calls for one agent. Threads may share it: they use one access token."""

    def __init__(self, base_url, agent_id, api_key, secret):
        self._url = urllib.parse.urlsplit(base_url.rstrip("/"))
        self._agent_id, self._secret = agent_id, secret
        # 1. The API key is 64 hex digits that stand for 32 bytes. Never use the 64
        #    characters as the key, nor the first 32 of them.
        if not re.fullmatch("[0-9a-f]{64}", api_key):
            raise ValueError("the API key is not 64 lower-case hex digits")
        self._aes = AESGCM(bytes.fromhex(api_key))
        self._lock, self._token, self._good_until = threading.Lock(), None, 0.0

    def check_sessions(self, username):
        """The member's Sessions."""
        return Sessions(*self._call("/v2/members/sessions/check", {"username": username}))

    def online(self):
        """The usernames of the agent's members with an active session; up to 30 s old."""
        data, _ = self._call("/v2/members/online", {})
        return data["userList"]

    def create_member(self, username):
        self._call("/v2/members", {"username": username})

    def open_game(self, **launch):
        """Launches a game; send the member to gameLaunchUrl, and keep it to yourself."""
        data, _ = self._call("/v2/opengame", launch)
        return data

    def kick(self, username):
        """Ends all the member's sessions; no error where it has none."""
        self._call("/v2/members/sessions/logout", {"username": username})

    def _call(self, path, request):
        token, fresh = self._access_token()
        try:
            return self._exchange(path, request, token)
        except RollcallError as error:
            if error.code != 83 or fresh:
                raise
        # The token from before may have been revoked: once more with another one.
        token, _ = self._access_token(refused=token)
        return self._exchange(path, request, token)

    def _access_token(self, refused=None):
        with self._lock:  # one thread fetches, the others wait for it
            asked = time.monotonic()
            if self._token and self._token != refused and asked < self._good_until:
                return self._token, False
            login = {"agentId": self._agent_id, "secret": self._secret}
            data, _ = self._exchange("/v2/auth", login)
            self._token, self._good_until = data["accessToken"], asked + data["expiresIn"] - 60
            return self._token, True

    def _exchange(self, path, request, token=None):
        """Returns the answer's data, None where it has none, and whether it is partial."""
        answer, text = self._send(path, request, token)
        if answer.status in (429, 503):  # too many calls, or no room: come again, once, when it says
            after = answer.headers.get("Retry-After", "")
            time.sleep(min(int(after), 60) if re.fullmatch("[0-9]{1,9}", after) else 1)
            answer, text = self._send(path, request, token)
        try:
            envelope = json.loads(text)
            code, message = envelope["code"], envelope["message"]
        except (ValueError, TypeError, KeyError):
            raise http.client.HTTPException(f"POST {path}: HTTP {answer.status}, and no answer of Rollcall") from None
        if code != 0:
            raise RollcallError(code, message, envelope.get("logUUID"))
        return envelope.get("data"), answer.headers.get("X-Sessions-Partial") == "true"

    def _send(self, path, request, token):
        """Seals and signs anew each time: a nonce is good once. No redirect is followed."""
        cipher_text = self._seal(json.dumps(request).encode())
        # 4. Milliseconds, 13 digits. time.time() has seconds.
        timestamp, nonce = str(time.time_ns() // 1_000_000), secrets.token_hex(16)
        signed = "|".join((self._agent_id, timestamp, nonce, cipher_text))
        headers = {
            "Content-Type": "application/json",
            "x-agentid": self._agent_id,
            "x-timestamp": timestamp,
            "x-nonce": nonce,
            "x-signature": hashlib.sha256(signed.encode()).hexdigest(),
        }
        if token:
            headers["Authorization"] = "Bearer " + token
        https = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = connect(self._url.netloc, timeout=10)
        try:
            connection.request("POST", self._url.path + path, json.dumps({"cipherText": cipher_text}), headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _seal(self, plaintext):
        iv = os.urandom(12)
        out = self._aes.encrypt(iv, plaintext, None)
        # 2. The library puts the 16 bytes of the tag behind; here the tag goes in front.
        sealed, tag = out[:-16], out[-16:]
        # 3. Three base64 texts, one behind the other; not one over all the bytes.
        return "".join(base64.b64encode(part).decode() for part in (iv, tag, sealed))


# The demonstration, against a sandbox (make run). In your project, cut here.


def told(sessions):
    lines = []
    for s in sessions.active:
        info = s["sessionInfo"]
        device = "on a PC" if info["deviceType"] == 1 else "on mobile"
        lines.append(f"{s['gamecode']}, {s['mode']}, {device}, from {info['ipaddress']}, in {info['currency']}")
    return ("; ".join(lines) or "no session") + (", but some may be missing" if sessions.partial else "")


def show(what, call):
    try:
        result = call() or "done"
    except RollcallError as e:
        result = f"code {e.code}, {e.message} (logUUID {'given' if e.log_uuid else 'missing'})"
    print(f"{what}: {result}")


def open_in_browser(launch_url):
    """Does what the page of the sandbox's game does when the member's browser loads it."""
    url = urllib.parse.urlsplit(launch_url)
    page = {"token": urllib.parse.parse_qs(url.query)["token"][0], "page": "example"}
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("POST", url.path + "/start", json.dumps(page), {"Content-Type": "application/json"})
    return f"HTTP {connection.getresponse().status}"


def main(file):
    with open(file, encoding="utf-8") as f:
        credentials = json.load(f)
    url, agent = credentials["baseUrl"], credentials["agents"][0]
    agent_id, api_key, secret = agent["agentId"], agent["apiKey"], agent["secret"]
    rollcall = Rollcall(url, agent_id, api_key, secret)
    name = "new" + secrets.token_hex(8)

    def check(username, client=rollcall):
        return lambda: told(client.check_sessions(username))

    show("check player001", check("player001"))
    show("check nobody", check("nobody"))
    show('check "not a name"', check("not a name"))
    show("create a new member", lambda: rollcall.create_member(name))
    show("create it again", lambda: rollcall.create_member(name))
    # deviceType is 0 for a PC and 1 for mobile here; a session has 1 and 2.
    launch = rollcall.open_game(username=name, gameCode="VP_230001_1", launchType=2, deviceType=1, ipaddress="203.0.113.7", lang="en")
    print(f"launch VP_230001_1 for it: {launch['mode']}, {'a URL with a launch token' if 'token=' in launch['gameLaunchUrl'] else 'no URL'}")
    show("check it", check(name))
    show("open the URL, as the member's browser does", lambda: open_in_browser(launch["gameLaunchUrl"]))
    show("check it", check(name))
    show("online", lambda: f"player001 is {'playing' if 'player001' in rollcall.online() else 'away'}")
    show("kick it", lambda: rollcall.kick(name))
    show("check it", check(name))
    show("check with another API key", check("player001", Rollcall(url, agent_id, "00" * 32, secret)))
    show("check with another Secret key", check("player001", Rollcall(url, agent_id, api_key, "another")))


if __name__ == "__main__":
    main(sys.argv[1])

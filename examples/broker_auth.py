"""Fresh tokens from the broker for httpx, and so for the MCP Python SDK, FastMCP and whatever else takes an httpx.Auth.

    async with streamablehttp_client("https://coda.io/apis/mcp", auth=BrokerAuth("coda")) as (read, write, _):
        ...

Environment: BROKER_AGENT_KEY, and BROKER_URL (http://host:port or unix:/path) where the default is not right.
"""

import asyncio
import os
import sys
import time

import httpx


class BrokerAuth(httpx.Auth):
    def __init__(self, connection):
        self.connection, self.token, self.ask_at, self.lock = connection, None, 0.0, asyncio.Lock()

    async def async_auth_flow(self, request):
        token = await self.fresh()
        request.headers["Authorization"] = f"Bearer {token['access_token']}"
        response = yield request
        if response.status_code == 401:
            token = await self.fresh(rejected=token["generation"])
            request.headers["Authorization"] = f"Bearer {token['access_token']}"
            yield request

    def sync_auth_flow(self, request):
        raise RuntimeError("BrokerAuth is for httpx.AsyncClient")

    async def fresh(self, rejected=None):
        async with self.lock:
            is_refused = rejected is not None and self.token["generation"] == rejected
            if self.token is None or is_refused or time.time() >= self.ask_at:
                self.token = await ask(self.connection, {"rejected_generation": rejected} if is_refused else {})
                # Ask again when half of the rest is over; no expires_in: keep it until it is refused.
                self.ask_at = time.time() + self.token.get("expires_in", float("inf")) / 2
            return self.token


async def ask(connection, body):
    url = os.environ.get("BROKER_URL", "http://127.0.0.1:8787")
    uds = url.removeprefix("unix:") if url.startswith("unix:") else None
    transport = httpx.AsyncHTTPTransport(uds=uds)
    async with httpx.AsyncClient(transport=transport, timeout=60, trust_env=False) as broker:
        path = f"{'http://localhost' if uds else url}/v1/connections/{connection.replace('@', '%40')}/token"
        answer = await broker.post(
            path, json=body, headers={"Authorization": f"Bearer {os.environ['BROKER_AGENT_KEY']}"}
        )
    told = answer.json()
    if answer.status_code != 200:
        raise RuntimeError(f"{told['code']}: {told['detail']}; {told.get('next_step', '')}")
    return told


async def main(url, connection):
    async with httpx.AsyncClient(auth=BrokerAuth(connection)) as client:
        print((await client.get(url)).status_code)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

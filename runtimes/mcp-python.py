import asyncio
import os

import httpx2 as httpx
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


# include broker_auth.py


async def main():
    timeout = httpx.Timeout(30, read=300)
    async with httpx.AsyncClient(auth=BrokerAuth(), timeout=timeout) as http_client:
        transport = streamable_http_client("{{server_url}}", http_client=http_client)
        async with Client(transport) as client:
            print(await client.list_tools())


asyncio.run(main())

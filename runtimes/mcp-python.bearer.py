import asyncio
import os

import httpx2 as httpx
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main():
    headers = {"Authorization": f"Bearer {os.environ['BROKER_AGENT_KEY']}"}
    timeout = httpx.Timeout(30, read=300)
    async with httpx.AsyncClient(headers=headers, timeout=timeout) as http_client:
        transport = streamable_http_client("{{url}}", http_client=http_client)
        async with Client(transport) as client:
            print(await client.list_tools())


asyncio.run(main())

import asyncio
import os

import httpx
from fastmcp.client import Client
from langchain.mcp import MCPAdapter


# include broker_auth.py


async def main():
    async with MCPAdapter(Client("{{server_url}}", auth=BrokerAuth())) as adapter:
        print(await adapter.list_tools())


asyncio.run(main())

import asyncio
import os

from fastmcp.client import Client
from langchain.mcp import MCPAdapter


async def main():
    async with MCPAdapter(Client("{{url}}", auth=os.environ["BROKER_AGENT_KEY"])) as adapter:
        print(await adapter.list_tools())


asyncio.run(main())

import os

from google.adk.agents import LlmAgent
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams

headers = {"Authorization": f"Bearer {os.environ['BROKER_AGENT_KEY']}"}
root_agent = LlmAgent(
    model="gemini-2.5-flash",
    name="assistant",
    tools=[McpToolset(connection_params=StreamableHTTPConnectionParams(url="{{url}}", headers=headers))],
)

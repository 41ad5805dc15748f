import json
import os
import urllib.request

from google.adk.agents import LlmAgent
from google.adk.tools.mcp_tool import McpToolset, StreamableHTTPConnectionParams


def broker_headers(_context):
    """Headers with a token of {{connection}} that works now."""
    key = os.environ["BROKER_AGENT_KEY"]
    request = urllib.request.Request("{{headers_url}}", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


root_agent = LlmAgent(
    model="gemini-2.5-flash",
    name="assistant",
    tools=[
        McpToolset(
            connection_params=StreamableHTTPConnectionParams(url="{{server_url}}"),
            header_provider=broker_headers,
        )
    ],
)

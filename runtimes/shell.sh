broker token {{connection}} --header | curl -sS '{{server_url}}' -H @- \
  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -d '{"jsonrpc":"2.0","id":1,"method":"ping"}'

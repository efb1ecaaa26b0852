#!/usr/bin/env bash
# Four commands to try against the demo, in another terminal.
base="http://127.0.0.1:$1"
cat <<TEXT

Try these in another terminal:

  curl -s '$base/v1/providers/search?q=speech+to+text+for+meetings&limit=3' | jq '.hits[].service.name'

  curl -s -H 'Content-Type: application/json' $base/v1/providers/search -d '{"q":"image input, 128k context or more, under \$0.50 per 1M input tokens","facets":["provider","inputPrice"],"sort":["inputPrice"],"limit":5}' | jq '{total, understood: [.understood[].label], first: .hits[0].service.name}'

  curl -sN -H 'Content-Type: application/json' $base/v1/chat/discovery -d '{"clientMessageId":"1","text":"I need a tool to generate images from text"}'

  curl -s $base/v1/services/remove-bg | jq '.service | {name, tagline, provider: .provider.name, authType}'

Ctrl-C ends.

TEXT

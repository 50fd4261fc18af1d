// One exec or attach over either transport, from the URL to the end: what is read on each channel.
#pragma once

#include "shim/lifecycle/stream.h"
#include "tests/unit/shim-streaming/client.h"

namespace podshim::streaming::test {

struct Talk {
  std::string url, protocol;  // "" = none is offered
  StreamRequest streams{.out = true};
  std::string input{};
  bool end_input = false;
  std::string resize{};
};
Output talk_spdy(const Talk& talk);
Output talk_websocket(const Talk& talk);
// Over a Wire to that URL, plain or TLS.
Output talk_spdy_over(Wire& wire, const Talk& talk);
Output talk_websocket_over(Wire& wire, const Talk& talk);

}  // namespace podshim::streaming::test

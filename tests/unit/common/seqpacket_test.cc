#include "common/sys/seqpacket.h"

#include <gtest/gtest.h>

#include <string_view>

namespace podshim::sys {
namespace {

Result<> send(const Fd& socket, std::string_view text) { return send_packet(socket, {{text}}, {}); }

// A peer that closes with packets unread leaves an error in front of those it sent.
TEST(Seqpacket, WhatWasSentIsReadBeforeTheEnd) {
  auto pair = seqpacket_pair();
  ASSERT_TRUE(pair);
  auto& [ours, theirs] = *pair;
  ASSERT_TRUE(send(ours, "never read"));
  for (const char* text : {"an answer", "last word"}) ASSERT_TRUE(send(theirs, text));
  theirs.reset();
  for (const char* text : {"an answer", "last word", ""}) {
    const auto packet = receive_packet(ours);
    ASSERT_TRUE(packet) << packet.error().text();
    EXPECT_EQ(packet->bytes, text);
  }
}

}  // namespace
}  // namespace podshim::sys

// Streamed lists. CRI gives a streamed list the request of its unary list, and every message of the stream the form of
// the unary answer: one repeated field, number 1 (a test holds the two side by side). So a stream is the unary answer
// cut between elements: the same content in the same order, taken at one time, in messages that any client receives.
// What a slow client has not taken yet is held as bytes, as much as the unary answer would be.
#pragma once

#include <memory>
#include <string>

#include "shim/cri/message_source.h"

namespace podshim::cri {

// A message ends before the element that would make it larger; clients refuse more than 4 MiB. A larger element goes
// alone.
inline constexpr std::size_t kStreamMessageBytes = 1 << 20;

std::unique_ptr<MessageSource> cut_list(std::string answer, std::size_t message_bytes = kStreamMessageBytes);

}  // namespace podshim::cri

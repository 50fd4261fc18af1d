// Streamed lists: the wire forms that make a stream the cut answer of the unary list, and the cutting.
#include "shim/cri/stream_lists.h"

#include <gtest/gtest.h>

#include "runtime.pb.h"
#include "shim/cri/methods.h"

namespace podshim::cri {
namespace {

namespace v1 = ::runtime::v1;
using google::protobuf::Descriptor;

// Numbers, kinds and message types are the same; names may differ.
void expect_same_wire(const Descriptor* a, const Descriptor* b) {
  ASSERT_EQ(a->field_count(), b->field_count()) << a->name() << " and " << b->name();
  for (int i = 0; i < a->field_count(); i++) {
    EXPECT_EQ(a->field(i)->number(), b->field(i)->number()) << a->name();
    EXPECT_EQ(a->field(i)->is_repeated(), b->field(i)->is_repeated()) << a->name();
    EXPECT_EQ(a->field(i)->message_type(), b->field(i)->message_type()) << a->name() << " and " << b->name();
  }
}

TEST(StreamLists, HaveTheWireFormOfTheirUnaryLists) {
  const auto* file = v1::ListContainersRequest::descriptor()->file();
  struct Case {
    const char *unary, *streamed;
  };
  const Case cases[] = {
      {"ListPodSandbox", "StreamPodSandboxes"},
      {"ListContainers", "StreamContainers"},
      {"ListContainerStats", "StreamContainerStats"},
      {"ListPodSandboxStats", "StreamPodSandboxStats"},
      {"ListPodSandboxMetrics", "StreamPodSandboxMetrics"},
      {"ListImages", "StreamImages"},
  };
  std::size_t streams = 0;
  for (int i = 0; i < file->service_count(); i++)
    for (int m = 0; m < file->service(i)->method_count(); m++)
      streams += file->service(i)->method(m)->name().starts_with("Stream");
  EXPECT_EQ(streams, std::size(cases)) << "a Stream* call that this test does not know";
  for (const auto& c : cases) {
    for (const char* end : {"Request", "Response"}) {
      const auto* unary = file->FindMessageTypeByName(std::string(c.unary) + end);
      const auto* streamed = file->FindMessageTypeByName(std::string(c.streamed) + end);
      ASSERT_TRUE(unary != nullptr && streamed != nullptr) << c.unary;
      expect_same_wire(unary, streamed);
    }
    const auto* answer = file->FindMessageTypeByName(std::string(c.unary) + "Response");
    ASSERT_EQ(answer->field_count(), 1);
    EXPECT_EQ(answer->field(0)->number(), 1);
    EXPECT_TRUE(answer->field(0)->is_repeated());
  }
}

TEST(StreamLists, EachHasItsUnaryListInTheTable) {
  for (const char* name : {"RuntimeService/StreamPodSandboxes", "RuntimeService/StreamContainers",
                           "RuntimeService/StreamContainerStats", "ImageService/StreamImages"}) {
    const auto* method = find_method(std::string("/runtime.v1.") + name);
    ASSERT_NE(method, nullptr) << name;
    EXPECT_EQ(method->call, nullptr) << name;
    EXPECT_NE(method->open, nullptr) << name;
  }
}

std::string answer_of(const std::vector<std::size_t>& sizes) {
  v1::ListContainersResponse all;
  for (std::size_t i = 0; i < sizes.size(); i++) {
    auto* c = all.add_containers();
    c->set_id(std::to_string(i));
    c->set_image_ref(std::string(sizes[i], 'x'));
  }
  return all.SerializeAsString();
}

TEST(StreamLists, CutBetweenElements) {
  struct Case {
    const char* name;
    std::vector<std::size_t> sizes;
    std::size_t limit;
    std::size_t messages;
  };
  const Case cases[] = {
      {"none", {}, 100, 0},
      {"one", {5}, 100, 1},
      {"all in one", {5, 5, 5}, 100, 1},
      {"one too large", {500}, 100, 1},
      {"a large one between small ones", {5, 500, 5}, 100, 3},
      {"pairs", {30, 30, 30, 30}, 100, 2},
      {"lengths of two and three bytes", {200, 20'000, 200}, 1 << 20, 1},
      {"each alone", {5, 5, 5}, 1, 3},
  };
  for (const auto& c : cases) {
    const std::string answer = answer_of(c.sizes);
    const auto source = cut_list(answer, c.limit);
    std::string joined, message;
    std::size_t messages = 0;
    for (;;) {
      const auto next = source->next(&message);
      ASSERT_TRUE(next.has_value()) << c.name << ": " << next.error().text();
      if (*next == MessageSource::Next::end) break;
      ASSERT_EQ(*next, MessageSource::Next::message) << c.name;
      v1::StreamContainersResponse part;
      ASSERT_TRUE(part.ParseFromString(message)) << c.name;
      EXPECT_TRUE(message.size() <= c.limit || part.containers_size() == 1) << c.name;
      joined += message;
      messages++;
    }
    EXPECT_EQ(joined, answer) << c.name;
    EXPECT_EQ(messages, c.messages) << c.name;
  }
}

TEST(StreamLists, WhatIsNoListIsAnError) {
  for (const std::string& bytes : {std::string("\x12\x01x", 3), std::string("\x0a\x05x", 3), std::string("\x0a"),
                                   std::string("\x0a\xff\xff\xff\xff\xff\xff", 7)}) {
    std::string message;
    EXPECT_FALSE(cut_list(bytes)->next(&message).has_value());
  }
}

}  // namespace
}  // namespace podshim::cri

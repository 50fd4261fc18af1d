// The directory as podlet and people write it: by rename, in place, broken, twice, gone.
#include "netproxy/source_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/sys/file.h"
#include "tests/support/services.h"

namespace podshim::test {
namespace {

using namespace netproxy;

std::string service_text(const std::string& name, const std::string& vip, int port = 80) {
  return R"({"apiVersion":"v1","kind":"Service","metadata":{"name":")" + name + R"("},"spec":{"clusterIP":")" + vip +
         R"(","ports":[{"name":"http","port":)" + std::to_string(port) + "}]}}";
}

std::string slice_text(const std::string& name, const std::string& service, const std::string& address) {
  return R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":")" + name +
         R"(","labels":{"kubernetes.io/service-name":")" + service +
         R"("}},"addressType":"IPv4","ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":[")" + address +
         R"("]}]})";
}

class SourceDirectoryTest : public testing::Test {
 protected:
  SourceDirectoryTest() {
    char name[] = "/tmp/podshim-source.XXXXXX";
    dir = ::mkdtemp(name);
    dir += "/services";  // made by open()
  }
  ~SourceDirectoryTest() override { std::filesystem::remove_all(std::filesystem::path(dir).parent_path()); }

  void open() {
    auto opened = SourceDirectory::open(dir);
    ASSERT_TRUE(opened) << opened.error().text();
    source.emplace(*std::move(opened));
    ASSERT_TRUE(source->scan(tracker));
  }
  void put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(sys::write_file_atomic(dir + "/" + name, text));
  }
  // The keys that changed by the events waiting now.
  std::vector<std::string> events() {
    pollfd fd{source->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&fd, 1, 1000), 1) << "no event";
    EXPECT_TRUE(source->read_events(tracker));
    return changed();
  }
  // The same of events that lead to a directory that is not there.
  std::vector<std::string> failing_events() {
    EXPECT_FALSE(source->read_events(tracker));
    return changed();
  }
  std::vector<std::string> changed() {
    std::vector<std::string> out;
    for (const auto& p : tracker.take_pending()) out.push_back(p.key);
    return out;
  }
  // A directory that goes; the one that comes after it says something else in another file.
  void first_directory() {
    open();
    put("a.json", service_text("web", "10.43.0.1"));
    events();
    testing::internal::CaptureStderr();
  }
  void put_second() { put("b.json", service_text("web", "10.43.0.2")); }
  void expect_second_directory() {
    testing::internal::GetCapturedStderr();
    ASSERT_EQ(tracker.model("default/web").vips.size(), 1u);
    EXPECT_EQ(tracker.model("default/web").vips.front(), ip("10.43.0.2"));
  }
  std::size_t endpoints(const std::string& key) { return tracker.model(key).endpoints(); }

  std::string dir;
  Tracker tracker{NodeFacts{}};
  std::optional<SourceDirectory> source;
};

using Keys = std::vector<std::string>;

// Ten thousand objects are kept: only what is read of them.
TEST_F(SourceDirectoryTest, WhatNobodyReadsIsNotKept) {
  std::filesystem::create_directories(dir);
  put("web.json", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","uid":"0123456789abcdef0123",
    "labels":{"app":"web"},"annotations":{"a":"b"}},"spec":{"clusterIP":"10.43.0.1","selector":{"app":"web"},
    "ports":[{"port":80}]}})");
  put("slice.json", R"({"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1",
    "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","ports":[{"port":8080}],"endpoints":[
    {"addresses":["10.42.0.2"],"targetRef":{"kind":"Pod","name":"a-name-that-is-not-short-1"}},
    {"addresses":["10.42.0.3"]},{"addresses":["10.42.0.4"]},{"addresses":["10.42.0.5"]},{"addresses":["10.42.0.6"]}]})");
  open();
  const auto* service = tracker.service("default/web");
  ASSERT_NE(service, nullptr);
  EXPECT_EQ(service->meta.uid.capacity(), std::string().capacity());
  EXPECT_TRUE(service->meta.labels.empty() && service->meta.annotations.empty() && service->selector.empty());
  auto slices = tracker.slices("default/web");
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_TRUE(slices[0]->meta.labels.empty());
  EXPECT_EQ(slices[0]->endpoints.capacity(), 5U);
  for (const auto& e : slices[0]->endpoints) EXPECT_EQ(e.target_name.capacity(), std::string().capacity());
  auto model = tracker.model("default/web");
  EXPECT_EQ(model.ports.at(0).backends.capacity(), 5U);
}

TEST_F(SourceDirectoryTest, ReadsWhatIsThereAndWhatComes) {
  std::filesystem::create_directories(dir);
  put("a.json", service_text("web", "10.43.0.1"));
  put("b.yaml",
      "apiVersion: v1\nkind: Service\nmetadata: {name: yaml}\nspec: {clusterIP: 10.43.0.2, ports: [{port: 80}]}\n");
  open();
  EXPECT_EQ(tracker.take_pending().size(), 2U);
  put("s.json", slice_text("web-1", "web", "10.42.0.2"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_EQ(endpoints("default/web"), 1U);
  put("s2.json", slice_text("web-2", "web", "10.42.0.3"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_EQ(endpoints("default/web"), 2U);
  ASSERT_TRUE(sys::remove_file(dir + "/s.json"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_EQ(endpoints("default/web"), 1U);
  ASSERT_TRUE(sys::remove_file(dir + "/a.json"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_TRUE(tracker.model("default/web").empty());
}

TEST_F(SourceDirectoryTest, ASliceThatComesFirstWaitsForItsService) {
  open();
  put("s.json", slice_text("web-1", "web", "10.42.0.2"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_TRUE(tracker.model("default/web").empty());
  put("a.json", service_text("web", "10.43.0.1"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_EQ(endpoints("default/web"), 1U);
}

TEST_F(SourceDirectoryTest, ABrokenFileIsNamedWithLineAndFieldAndTheOthersGoOn) {
  open();
  put("a.json", service_text("web", "10.43.0.1"));
  events();
  testing::internal::CaptureStderr();
  put("a.json",
      "{\n\"apiVersion\":\"v1\",\"kind\":\"Service\",\n\"metadata\":{\"name\":\"web\"},\n\"spec\":{\"clusterIP\":\"10."
      "43.0.1\",\n\"ports\":[{\"port\":70000}]}}");
  put("b.json", service_text("other", "10.43.0.2"));
  EXPECT_EQ(events(), Keys{"default/other"});
  auto log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find(dir + "/a.json:5: spec.ports[0].port: 70000 is outside 1..65535"), std::string::npos) << log;
  EXPECT_FALSE(tracker.model("default/web").empty()) << "what it said before stays";
}

TEST_F(SourceDirectoryTest, BadTextIsOneLineOfLogEach) {
  struct Case {
    const char* file;
    const char* text;
    const char* said;
  };
  const Case cases[] = {
      {"a.json", "{\"kind\": ", "a.json:1"},
      {"b.yaml", "kind: [", "b.yaml:"},
      {"c.yaml", "a: 1\n---\nb: 2\n", "holds 2 objects"},
      {"d.yaml", "", "holds 0 objects"},
      {"e.json", "[]", "an object is expected"},
      {"f.json", "{\"apiVersion\":\"v1\"}", "kind"},
      {"g.json", "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"}", "kind not used here"},
  };
  open();
  for (const auto& c : cases) {
    testing::internal::CaptureStderr();
    put(c.file, c.text);
    EXPECT_EQ(events(), Keys{}) << c.file;
    auto log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find(c.said), std::string::npos) << c.file << ": " << log;
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  }
}

TEST_F(SourceDirectoryTest, UnknownFieldsAreNamedOnce) {
  open();
  auto text = std::string(
      "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  clusterIP: 10.43.0.1\n  ports: [{port: 80}]\n  "
      "colour: red\n");
  testing::internal::CaptureStderr();
  put("a.yaml", text);
  EXPECT_EQ(events(), Keys{"default/web"});
  put("a.yaml", text);
  EXPECT_EQ(events(), Keys{"default/web"});
  auto log = testing::internal::GetCapturedStderr();
  auto at = log.find("a.yaml:7: spec.colour");
  ASSERT_NE(at, std::string::npos) << log;
  EXPECT_EQ(log.find("spec.colour", at + 20), std::string::npos) << log;
}

TEST_F(SourceDirectoryTest, TwoFilesWithOneObject) {
  open();
  put("a.json", service_text("web", "10.43.0.1"));
  EXPECT_EQ(events(), Keys{"default/web"});
  put("b.json", service_text("web", "10.43.0.9"));
  EXPECT_EQ(events(), Keys{}) << "the first file keeps it";
  EXPECT_EQ(tracker.model("default/web").vips.front(), ip("10.43.0.1"));
  ASSERT_TRUE(sys::remove_file(dir + "/a.json"));
  EXPECT_EQ(events(), Keys{"default/web"});
  EXPECT_EQ(tracker.model("default/web").vips.front(), ip("10.43.0.9")) << "the second has it now";
}

TEST_F(SourceDirectoryTest, AFileThatBecomesAnotherObject) {
  open();
  put("a.json", service_text("web", "10.43.0.1"));
  events();
  put("a.json", service_text("new", "10.43.0.1"));
  EXPECT_EQ(events(), (Keys{"default/new", "default/web"}));
  EXPECT_TRUE(tracker.model("default/web").empty());
}

TEST_F(SourceDirectoryTest, OtherNamesAreNotRead) {
  open();
  put(".hidden.json", service_text("a", "10.43.0.1"));
  put("note.txt", service_text("b", "10.43.0.2"));
  EXPECT_EQ(events(), Keys{});
}

TEST_F(SourceDirectoryTest, ADirectoryMadeAnewIsReadAgain) {
  first_directory();
  std::filesystem::rename(dir, dir + ".old");
  EXPECT_EQ(failing_events(), Keys{}) << "what it said last";
  ASSERT_TRUE(source->due());
  EXPECT_EQ(failing_events(), Keys{});
  EXPECT_FALSE(std::filesystem::exists(dir)) << "who replaces it finds its place free";
  std::filesystem::create_directory(dir);
  put_second();
  EXPECT_TRUE(source->read_events(tracker));
  EXPECT_FALSE(source->due());
  expect_second_directory();
}

// As by `rm -rf`: its end is told only when nobody holds it any more.
TEST_F(SourceDirectoryTest, ADirectoryRemovedAndMadeAnewIsReadAgain) {
  first_directory();
  std::filesystem::remove_all(dir);
  EXPECT_EQ(failing_events(), Keys{"default/web"});
  ASSERT_TRUE(source->due());
  std::filesystem::create_directory(dir);
  EXPECT_TRUE(source->read_events(tracker));
  EXPECT_FALSE(source->due());
  put_second();
  EXPECT_EQ(events(), Keys{"default/web"});
  expect_second_directory();
}

// A shell that stands in it keeps the end of the old one from being told.
TEST_F(SourceDirectoryTest, ADirectoryThatSomebodyHasOpenIsMadeAnew) {
  first_directory();
  const auto held = sys::open(dir, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(held);
  std::filesystem::remove_all(dir);
  std::filesystem::create_directory(dir);
  EXPECT_EQ(events(), Keys{"default/web"}) << "the file that went";
  put_second();
  EXPECT_EQ(events(), Keys{"default/web"});
  expect_second_directory();
}

TEST_F(SourceDirectoryTest, AReadingThatFailsIsDueAgain) {
  first_directory();
  EXPECT_FALSE(source->due());
  std::filesystem::remove_all(dir);
  std::ofstream(dir) << "a file is in the way";
  EXPECT_FALSE(source->read_events(tracker));
  ASSERT_TRUE(source->due());
  std::filesystem::remove(dir);
  std::filesystem::create_directories(dir);
  put_second();
  EXPECT_TRUE(source->read_events(tracker));
  EXPECT_FALSE(source->due());
  expect_second_directory();
}

}  // namespace
}  // namespace podshim::test

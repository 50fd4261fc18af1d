// A layout with one image "x:t", a registry that the test plays itself, and a store that asks it. What Debian's
// docker-registry says is in tests/e2e/node-image.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "common/json.h"
#include "common/sys/file.h"
#include "layout_builder.h"
#include "shim/image/disk_store.h"
#include "test_registry.h"
#include "tests/support/no_proxy.h"

namespace podshim::image::test {

using Store = std::unique_ptr<DiskImageStore>;

inline std::string noise(std::size_t size, unsigned seed) {
  std::string out(size, '\0');
  for (auto& c : out) c = static_cast<char>((seed = seed * 1103515245 + 12345) >> 16);
  return out;
}

inline std::string layer(const std::string& name, std::size_t size = 10) {
  return make_tar({{.path = name, .data = noise(size, static_cast<unsigned>(name.size() + size))}});
}

class Pull : public ::testing::Test {
 protected:
  void SetUp() override {
    podshim::test::ignore_proxies();
    add_image(tmp / "l", {.name = "x:t", .layers = {layer("a"), layer("b", 3'000'000), layer("c")}});
    registry = std::make_unique<TestRegistry>(tmp / "l");
  }

  Store open(const std::string& yaml = "", StoreLimits limits = {}) {
    std::string text = yaml.empty() ? "mirrors: {\"*\": {endpoint: [\"" + registry->url() + "\"]}}" : yaml;
    auto registries = decode_registries(text, "registries.yaml");
    EXPECT_TRUE(registries) << registries.error().text();
    limits.pull.registries = std::make_shared<const Registries>(*std::move(registries));
    limits.retry.first_pause = std::chrono::milliseconds(5);
    quarantined.clear();
    auto store = DiskImageStore::open(tmp / "images", host_facts(), limits, &quarantined);
    EXPECT_TRUE(store) << store.error().text();
    return *std::move(store);
  }
  // The registry is the image's own, so that it is the only endpoint.
  std::string own(const std::string& more = "") const {
    return "mirrors: {\"" + registry->host() + "\": {endpoint: [\"" + registry->url() + "\"]}}\n" + more;
  }
  std::string name(const std::string& tag = ":t") const { return registry->host() + "/x" + tag; }
  std::string manifest_digest() const {
    auto index = json::parse(read_text(tmp / "l/index.json"));
    return index->find("manifests")->as_array().front().find("digest")->as_string();
  }
  std::size_t blobs() const {
    return registry->count([](const Asked& a) { return a.is_blob(); });
  }

  void expect_nothing_left(DiskImageStore& store) {
    EXPECT_TRUE(store.list().empty());
    store.wait_for_trash();
    EXPECT_EQ(sys::list_dir(tmp / "images/ingest").value(), std::vector<std::string>{});
    EXPECT_EQ(sys::list_dir(tmp / "images/layers").value(), std::vector<std::string>{"empty"});
    EXPECT_EQ(sys::list_dir(tmp / "images/blobs/sha256").value(), std::vector<std::string>{});
    EXPECT_TRUE(store.pulls().empty());
  }
  void expect_failure(DiskImageStore& store, const std::string& reference, ErrorKind kind, const std::string& text) {
    auto got = store.pull({.reference = reference});
    ASSERT_FALSE(got) << "it was pulled";
    EXPECT_EQ(kind_name(got.error().kind), kind_name(kind)) << got.error().text();
    EXPECT_NE(got.error().text().find(text), std::string::npos) << got.error().text();
    expect_nothing_left(store);
  }

  TempDir tmp;
  std::unique_ptr<TestRegistry> registry;
  std::vector<std::string> quarantined;  // at the last open()
};

}  // namespace podshim::image::test

#include "shim/image/manifest.h"

#include <gtest/gtest.h>

namespace podshim::image {
namespace {

const std::string kA = "sha256:" + std::string(64, 'a'), kB = "sha256:" + std::string(64, 'b');

std::string descriptor(const std::string& digest, const std::string& rest = "") {
  return R"({"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":3,"digest":")" + digest + "\"" + rest +
         "}";
}

std::string platform(const std::string& arch, const std::string& variant = "", const std::string& os = "linux") {
  return R"(,"platform":{"os":")" + os + R"(","architecture":")" + arch + R"(","variant":")" + variant + "\"}";
}

TEST(Manifest, KindIsToldByContent) {
  struct Case {
    const char* name;
    std::string input;
    std::string want;  // index, manifest, or "" = refused
  };
  const Case cases[] = {
      {"index", R"({"manifests":[]})", "index"},
      {"manifest", R"({"config":{},"layers":[]})", "manifest"},
      {"both", R"({"manifests":[],"layers":[]})", ""},
      {"neither", R"({"schemaVersion":2})", ""},
      {"list", "[]", ""},
      {"no JSON", "{", ""},
  };
  for (const auto& c : cases) {
    auto got = document_kind(c.input);
    EXPECT_EQ(!got ? "" : *got == DocumentKind::index ? "index" : "manifest", c.want) << c.name;
  }
}

TEST(Manifest, DecodesOrNamesTheField) {
  struct Case {
    const char* name;
    std::string input;
    const char* error;  // nullptr = fine
  };
  std::string config = R"({"digest":")" + kA + R"(","size":2})";
  const Case cases[] = {
      {"fine", R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + descriptor(kB) + "]}", nullptr},
      {"no layers", R"({"config":)" + config + "}", nullptr},
      {"no config", R"({"layers":[]})", "config"},
      {"version 1", R"({"schemaVersion":1,"config":)" + config + "}", "schemaVersion"},
      {"bad digest", R"({"config":{"digest":"sha256:zz"}})", "config.digest"},
      {"digest of another kind", R"({"config":{"digest":"sha512:aa"}})", "only sha256"},
      {"negative size", R"({"config":{"digest":")" + kA + R"(","size":-1}})", "config.size"},
      {"an index", R"({"manifests":[],"config":)" + config + "}", "manifests"},
      {"encrypted",
       R"({"config":)" + config +
           R"(,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+encrypted","digest":")" + kB + "\"}]}",
       "encrypted"},
      {"not a layer", R"({"config":)" + config + R"(,"layers":[{"mediaType":"text/plain","digest":")" + kB + "\"}]}",
       "text/plain"},
  };
  for (const auto& c : cases) {
    auto got = decode_manifest(c.input);
    EXPECT_EQ(got.has_value(), c.error == nullptr) << c.name << (got ? "" : got.error().text());
    if (!got && c.error != nullptr) {
      EXPECT_NE(got.error().text().find(c.error), std::string::npos) << c.name << ": " << got.error().text();
    }
  }
}

TEST(Manifest, TooManyLayersAreRefused) {
  std::string layers;
  for (std::size_t i = 0; i <= kMaxLayers; i++) layers += (i == 0 ? "" : ",") + descriptor(kB);
  auto got = decode_manifest(R"({"config":{"digest":")" + kA + R"("},"layers":[)" + layers + "]}");
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().text().find("more than 500"), std::string::npos) << got.error().text();
}

TEST(Manifest, PlatformIsChosen) {
  struct Case {
    const char* name;
    std::vector<std::string> entries;
    Platform platform;
    int want;  // index into entries, -1 = none
  };
  const Case cases[] = {
      {"not the first", {platform("arm64", "v8"), platform("amd64")}, {"linux", "amd64", ""}, 1},
      {"exact variant", {platform("arm", "v6"), platform("arm", "v7")}, {"linux", "arm", "v7"}, 1},
      {"without variant", {platform("arm64")}, {"linux", "arm64", "v8"}, 0},
      {"other variant", {platform("arm", "v5")}, {"linux", "arm", "v7"}, -1},
      {"other os", {platform("amd64", "", "windows")}, {"linux", "amd64", ""}, -1},
      {"attestation", {platform("unknown", "", "unknown"), platform("amd64")}, {"linux", "amd64", ""}, 1},
      {"none told", {""}, {"linux", "amd64", ""}, 0},
      {"told beats untold", {"", platform("amd64")}, {"linux", "amd64", ""}, 1},
      {"empty", {}, {"linux", "amd64", ""}, -1},
  };
  for (const auto& c : cases) {
    std::string text;
    std::vector<Digest> digests;
    for (const auto& entry : c.entries) {
      digests.push_back(Digest::of(std::to_string(digests.size())));
      text += (text.empty() ? "" : ",") + descriptor(digests.back().text(), entry);
    }
    auto index = decode_index(R"({"manifests":[)" + text + "]}");
    ASSERT_TRUE(index) << c.name << index.error().text();
    auto got = choose(*index, c.platform);
    ASSERT_EQ(got.has_value(), c.want >= 0) << c.name;
    if (got) {
      EXPECT_EQ(got->digest, digests[static_cast<std::size_t>(c.want)]) << c.name;
    }
  }
}

TEST(Config, DecodesTheProcess) {
  auto got = decode_config(
      R"({"architecture":"amd64","os":"linux","config":{"User":"www-data:1","Env":["A=b"],"Entrypoint":["/e"],
    "Cmd":["c","d"],"WorkingDir":"/w","StopSignal":"SIGINT","Volumes":{"/v":{}},"Labels":{"x":"y"}},
    "rootfs":{"type":"layers","diff_ids":[")" +
      kA + R"("]},"history":[]})");
  ASSERT_TRUE(got) << got.error().text();
  ImageProcess want{.user = "www-data:1",
                    .entrypoint = {"/e"},
                    .cmd = {"c", "d"},
                    .env = {"A=b"},
                    .working_dir = "/w",
                    .stop_signal = "SIGINT",
                    .volumes = {"/v"}};
  EXPECT_EQ(got->process, want);
  EXPECT_EQ(got->platform, (Platform{"linux", "amd64", ""}));
  EXPECT_EQ(got->diff_ids.size(), 1u);
  EXPECT_FALSE(decode_config(R"({"config":{}})")) << "no rootfs";
  EXPECT_FALSE(decode_config(R"({"rootfs":{"type":"layers","diff_ids":["x"]}})"));
  EXPECT_FALSE(decode_config(R"({"rootfs":{"type":"tree","diff_ids":[]}})"));
  EXPECT_TRUE(decode_config(R"({"rootfs":{"type":"layers","diff_ids":null},"config":null})")) << "an empty image";
}

TEST(DockerArchive, Decodes) {
  auto got = decode_docker_archive(R"([{"Config":"c.json","RepoTags":null,"Layers":["l/layer.tar"]}])");
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->at(0).layers, std::vector<std::string>{"l/layer.tar"});
  EXPECT_FALSE(decode_docker_archive("{}"));
  EXPECT_FALSE(decode_docker_archive(R"([{"Layers":[]}])"));
}

TEST(Manifest, MadeOnesReadBackAndAreTheSame) {
  Manifest m{.config = {.digest = Digest::of("c"), .size = 5}, .layers = {{.digest = Digest::of("l"), .size = 6}}};
  m.layers[0].media_type = layer_media_type(LayerCompression::gzip);
  auto got = decode_manifest(encode_manifest(m));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->layers, m.layers);
  EXPECT_EQ(encode_manifest(*got), encode_manifest(m));
}

TEST(Layer, CompressionIsToldByTheFirstBytes) {
  EXPECT_EQ(detect_compression("\x1f\x8b\x08"), LayerCompression::gzip);
  EXPECT_EQ(detect_compression("\x28\xb5\x2f\xfd"), LayerCompression::zstd);
  EXPECT_EQ(detect_compression(std::string("\x52\x2a\x4d\x18", 4)), LayerCompression::zstd);
  EXPECT_EQ(detect_compression("etc/passwd"), LayerCompression::none);
  EXPECT_EQ(detect_compression(""), LayerCompression::none);
}

}  // namespace
}  // namespace podshim::image

// Pulls from Debian's docker-registry, filled by skopeo, both inside the node: over plain HTTP where registries.yaml
// says so, over HTTPS with a certificate of our own and a password; by the daemon's command line and by crictl.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <thread>

#include "admin.grpc.pb.h"
#include "common/json.h"
#include "tests/support/long_run.h"
#include "tests/support/no_proxy.h"
#include "tests/support/node.h"

namespace podshim::test {
namespace {

constexpr const char* kPlain = "127.0.0.1:5000";
constexpr const char* kSecure = "127.0.0.1:5443";
constexpr const char* kSilent = "127.0.0.1:5999";
constexpr const char* kHtpasswd = "u:$2b$04$ilPWX5R2zf0YEkStoSoaMeESFGitayL38mzTCAo0oQ33oPTE6opuy\n";  // u:hunter22

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

class ImagePull : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    for (const char* tool : {"docker-registry", "skopeo", "openssl"})
      if (find_tool(tool).empty())
        GTEST_SKIP() << tool << " is not here: nothing is pulled from software that is not ours";
    ignore_proxies();
    node = std::make_unique<Node>();
    const std::string& dir = node->dir();
    start_registry("plain", kPlain, "");
    ok(node->run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry",
                  "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", dir + "/key.pem", "-out", dir + "/ca.pem"}));
    write(dir + "/htpasswd", kHtpasswd);
    start_registry("secure", kSecure,
                   "  tls: {certificate: " + dir + "/ca.pem, key: " + dir +
                       "/key.pem}\nauth:\n  htpasswd: {realm: r, path: " + dir + "/htpasswd}\n");
    write(dir + "/registries.yaml", std::string("mirrors:\n  \"") + kPlain + "\":\n    endpoint: [\"http://" + kPlain +
                                        "\"]\n  \"" + kSilent + "\":\n    endpoint: [\"http://" + kSilent +
                                        "\"]\n  mirrored.example.com:\n    endpoint: [\"http://" + kPlain +
                                        "\"]\n    rewrite: {\"^team/(.*)\": \"$1\"}\nconfigs:\n  \"" + kSecure +
                                        "\":\n    tls: {ca_file: " + dir + "/ca.pem}\n");
    ASSERT_TRUE(node->start_daemon()) << node->log();
    push("busybox.oci", kPlain, "busybox", {});
    push("multi.oci", kPlain, "multi", {"--format", "v2s2"});
    push("multi-zstd.oci", kPlain, "multi-zstd", {});
    push("probe.oci", kSecure, "probe", {"--dest-creds", "u:hunter22"});
  }
  static void TearDownTestSuite() {
    if (node == nullptr) return;
    node->stop_daemon(SIGTERM);
    EXPECT_EQ(node->leaks(), std::vector<std::string>{});
    node.reset();
  }

 protected:
  static void ok(const Output& output) { ASSERT_EQ(output.exit_code, 0) << output.out << output.err; }
  static void start_registry(const std::string& name, const std::string& address, const std::string& more) {
    const std::string data = node->dir() + "/" + name + "-data";
    write(node->dir() + "/" + name + ".yml",
          "version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: " + data +
              "}\nhttp:\n  addr: " + address + "\n" + more);
    registry_pid = node->spawn(name, {find_tool("docker-registry"), "serve", node->dir() + "/" + name + ".yml"});
    for (int i = 0; i < 100; i++) {
      if (node->run({"curl", "-sk", "http" + std::string(more.empty() ? "" : "s") + "://" + address + "/v2/"})
              .exit_code == 0)
        return;
      ::usleep(50'000);
    }
    FAIL() << "no answer from the registry: " << node->run({"cat", node->dir() + "/" + name + ".log"}).out;
  }
  static void push(const std::string& layout, const std::string& to, const std::string& name,
                   std::vector<std::string> more) {
    std::vector<std::string> words = {"skopeo", "copy", "-q", "--dest-tls-verify=false"};
    words.insert(words.end(), more.begin(), more.end());
    const std::string base = layout.substr(0, layout.find('.'));
    words.insert(words.end(), {"oci:" + image_archive(layout) + ":podshim.dev/" + base + ":1",
                               "docker://" + to + "/" + name + ":1"});
    ok(node->run(words));
  }
  static Output podshim_within(std::chrono::seconds limit, std::vector<std::string> words) {
    words.insert(words.begin(), {program("podshim"), "--config", node->config_file()});
    return node->run(words, limit);
  }
  static Output podshim(std::vector<std::string> words) {
    return podshim_within(std::chrono::seconds(60), std::move(words));
  }
  static cri::Image status_of(const std::string& reference) {
    cri::ImageStatusRequest request;
    cri::ImageStatusResponse response;
    request.mutable_image()->set_image(reference);
    auto status = node->cri().call(&cri::ImageService::Stub::ImageStatus, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.image();
  }
  static grpc::Status pull(const std::string& reference, const cri::AuthConfig& auth = {}) {
    cri::PullImageRequest request;
    cri::PullImageResponse response;
    request.mutable_image()->set_image(reference);
    *request.mutable_auth() = auth;
    auto status = node->cri().call(&cri::ImageService::Stub::PullImage, request, &response);
    EXPECT_TRUE(!status.ok() || response.image_ref() == status_of(reference).id());
    return status;
  }
  // Whether the daemon comes to list a pull of `reference`: who calls then joins it.
  static bool under_way(const std::string& reference) {
    auto admin =
        v1::Admin::NewStub(grpc::CreateChannel("unix://" + node->socket(), grpc::InsecureChannelCredentials()));
    for (int i = 0; i < 400; i++) {
      grpc::ClientContext context;
      v1::PullsResponse list;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
      (void)admin->Pulls(&context, v1::PullsRequest(), &list);
      for (const auto& one : list.pulls())
        if (one.reference() == reference) return true;
      ::usleep(50'000);
    }
    return false;
  }
  void TearDown() override {
    cri::ListImagesResponse list;
    node->cri().call(&cri::ImageService::Stub::ListImages, cri::ListImagesRequest(), &list);
    for (const auto& image : list.images()) ok(podshim({"image", "rm", image.id()}));
  }
  static inline std::unique_ptr<Node> node;
  static inline pid_t registry_pid = -1;  // of the last one started
};

TEST_F(ImagePull, ByTheCommandLine) {
  const std::string name = std::string(kPlain) + "/busybox:1";
  auto first = podshim({"image", "pull", name, "--output", "json"});
  ok(first);
  auto document = json::parse(first.out);
  ASSERT_TRUE(document) << first.out;
  const auto image = status_of(name);
  ASSERT_EQ(image.repo_tags_size(), 1);
  EXPECT_EQ(image.repo_tags(0), name);
  ASSERT_EQ(image.repo_digests_size(), 1);
  EXPECT_TRUE(image.repo_digests(0).starts_with(std::string(kPlain) + "/busybox@sha256:")) << image.repo_digests(0);
  EXPECT_NE(first.out.find(image.id()), std::string::npos);
  // What the registry itself says of it.
  auto theirs = node->run({"skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://" + name});
  EXPECT_NE(image.repo_digests(0).find(theirs.out.substr(0, 71)), std::string::npos) << theirs.out << theirs.err;
  ok(podshim({"image", "pull", image.repo_digests(0)}));
  ok(podshim({"image", "pull", image.id()}));

  auto none = podshim({"image", "pull", std::string(kPlain) + "/busybox:2"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.err.find("manifest 2 answered 404"), std::string::npos) << none.err;
  // An unconfigured registry is asked by HTTPS, never in plain.
  auto plain = podshim({"image", "pull", "localhost:5000/busybox:1"});
  EXPECT_EQ(plain.exit_code, 1);
  EXPECT_NE(plain.err.find("localhost:5000"), std::string::npos) << plain.err;
}

TEST_F(ImagePull, SchemaTwoZstdAndAMirror) {
  for (const char* name : {"/multi:1", "/multi-zstd:1"}) {
    auto status = pull(kPlain + std::string(name));
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  auto status = pull("mirrored.example.com/team/busybox:1");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(status_of("mirrored.example.com/team/busybox:1").repo_tags(0), "mirrored.example.com/team/busybox:1");
  // What was pulled is what is imported: the same layers, one copy.
  const auto pulled = status_of(std::string(kPlain) + "/multi:1");
  ok(node->import_image(image_archive("multi.oci")));
  EXPECT_EQ(status_of("podshim.dev/multi:1").size(), pulled.size());
}

// A Docker manifest list, put there by hand: skopeo makes none.
TEST_F(ImagePull, AManifestList) {
  auto put = [&](const std::string& tag, const std::string& architectures) {
    const std::string base = std::string("http://") + kPlain + "/v2/multi/manifests/";
    ok(node->run(
        {"sh", "-ec",
         "cd " + node->dir() + "; skopeo inspect --raw --tls-verify=false docker://" + kPlain +
             "/multi:1 > m; digest=sha256:$(sha256sum m | cut -d' ' -f1); size=$(stat -c %s m); "
             "type=application/vnd.docker.distribution.manifest; sep=; { "
             "printf '{\"schemaVersion\":2,\"mediaType\":\"%s.list.v2+json\",\"manifests\":[' $type; for a in " +
             architectures +
             "; do printf '%s{\"mediaType\":\"%s.v2+json\",\"digest\":\"%s\",\"size\":%s,\"platform\":"
             "{\"architecture\":\"%s\",\"os\":\"linux\"}}' \"$sep\" $type $digest $size $a; sep=,; done; printf ']}'; "
             "} > list; curl -sSf -X PUT -H \"Content-Type: $type.list.v2+json\" --data-binary @list " +
             base + tag}));
    auto digest = node->run({"sh", "-c", "sha256sum < " + node->dir() + "/list"});
    return std::string(kPlain) + "/multi@sha256:" + digest.out.substr(0, 64);
  };
  const std::string here = node->run({"dpkg", "--print-architecture"}).out;
  const std::string digest = put("list", "s390x " + here.substr(0, here.find('\n')));
  auto status = pull(std::string(kPlain) + "/multi:list");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(status_of(std::string(kPlain) + "/multi:list").repo_digests(0), digest) << "of the list";
  EXPECT_EQ(status_of(digest).id(), status_of(std::string(kPlain) + "/multi:list").id());
  put("other", "s390x riscv64");
  status = pull(std::string(kPlain) + "/multi:other");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(status.error_message().find("linux/s390x, linux/riscv64"), std::string::npos) << status.error_message();
}

TEST_F(ImagePull, PasswordsAndCertificates) {
  const std::string name = std::string(kSecure) + "/probe:1";
  auto refused = pull(name);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAUTHENTICATED) << refused.error_message();
  EXPECT_NE(refused.error_message().find("registries.yaml"), std::string::npos) << refused.error_message();
  cri::AuthConfig auth;
  auth.set_username("u");
  auth.set_password("wrong");
  EXPECT_EQ(pull(name, auth).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  auth.set_password("hunter22");
  auto pulled = pull(name, auth);
  ASSERT_TRUE(pulled.ok()) << pulled.error_message();
  ok(podshim({"image", "rm", name}));
  ok(podshim({"image", "pull", name, "--creds", "u:hunter22"}));
  EXPECT_EQ(node->log().find("hunter22"), std::string::npos) << "a password in the log";

  // A name that the certificate is not for, and no authority configured: not trusted, not asked again, nothing sent.
  auto untrusted = pull("localhost:5443/probe:1", auth);
  EXPECT_EQ(untrusted.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(untrusted.error_message().find("certificate"), std::string::npos) << untrusted.error_message();
  // No daemon starts with a file that says what is unknown.
  write(node->dir() + "/wrong.yaml", "mirrors: {}\nconfig: {}\n");
  auto started = podshim({"--registries", node->dir() + "/wrong.yaml"});
  EXPECT_EQ(started.exit_code, 2);
  EXPECT_NE(started.err.find("wrong.yaml:2: config: is not a known field"), std::string::npos) << started.err;
}

TEST_F(ImagePull, AWaitingCallEndsWithItsClient) {
  start_registry("silent", kSilent, "");
  ASSERT_EQ(::kill(registry_pid, SIGSTOP), 0);  // it takes connections, and says nothing
  const std::string name = std::string(kSilent) + "/busybox:1";
  std::thread first([&] { pull(name); });
  const bool leads = under_way(name);
  cri::PullImageRequest request;
  cri::PullImageResponse response;
  request.mutable_image()->set_image(name);
  CriClient impatient(node->socket(), std::chrono::seconds(1));
  auto status = impatient.call(&cri::ImageService::Stub::PullImage, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << status.error_message();
  bool ended = false;
  for (int i = 0; i < 100 && !ended; i++) {
    ::usleep(50'000);
    ended = node->log().find("its client has gone") != std::string::npos;
  }
  ::kill(registry_pid, SIGCONT);
  first.join();
  EXPECT_TRUE(leads) << "the first call has not begun to pull";
  EXPECT_TRUE(ended) << "the call waits on: " << node->log();
}

TEST_F(ImagePull, Crictl) {
  const std::string tool = find_tool("crictl");
  if (tool.empty()) GTEST_SKIP() << "crictl is neither on PATH nor in $CRICTL";
  auto crictl = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {tool, "--runtime-endpoint", "unix://" + node->socket(), "--image-endpoint",
                                 "unix://" + node->socket(), "--timeout", "20s"});
    return node->run(words);
  };
  ok(crictl({"pull", std::string(kPlain) + "/busybox:1"}));
  ok(crictl({"pull", "--creds", "u:hunter22", std::string(kSecure) + "/probe:1"}));
  auto images = crictl({"images", "--digests"});
  EXPECT_NE(images.out.find(std::string(kPlain) + "/busybox"), std::string::npos) << images.out;
  EXPECT_NE(images.out.find(std::string(kSecure) + "/probe"), std::string::npos) << images.out;
  ok(crictl({"rmi", std::string(kPlain) + "/busybox:1"}));
  EXPECT_EQ(status_of(std::string(kPlain) + "/busybox:1").id(), "");
}

// Three layers of 20 MB of noise; with PODSHIM_LONG six of gzip, 300 MB together, with real files: what is below /usr.
std::string big_layers(const std::string& dir) {
  if (!long_run())
    return "for i in 1 2 3; do head -c 20000000 /dev/urandom > r$i; tar -cf r.tar r$i; "
           "umoci raw add-layer --image big:base r.tar >/dev/null 2>&1; done; rm r1 r2 r3 r.tar; ";
  return "find /usr -xdev -type f -size -8M -printf '%s\\t%p\\n' | sort -t'\t' -k2 | "
         "awk -F'\\t' -v each=$((300000000 * 415 / 100 / 6)) '{ n = int(sum / each); if (n == 6) exit; "
         "sum += $1; print $2 > \"list\" n }'; for i in 0 1 2 3 4 5; do tar -C / -c --no-recursion -T " +
         dir +
         "/list$i -f r.tar 2>/dev/null; umoci raw add-layer --image big:base r.tar >/dev/null 2>&1; done; "
         "rm r.tar list?; ";
}

// One line for each file of each unpacked layer: what it is, and the digest of its content.
std::string layers_text(const Node& node) {
  // Directories that a tar only implies, and whiteouts, have the time of their making.
  auto out = node.run({"sh", "-ec",
                       "cd " + node.dir() +
                           "/root/images/layers; find . -path ./empty -prune -o -name layer.json -o -type f -printf "
                           "'%p f %m %U %G %s %T@\\n' -o -printf '%p %y %m %U %G %l\\n' | sort; "
                           "find . -path ./empty -prune -o -name layer.json -o -type f -print0 | sort -z | "
                           "xargs -0 -r sha256sum"},
                      std::chrono::seconds(300));
  EXPECT_EQ(out.exit_code, 0) << out.err;
  return out.out;
}

// How far a pull was when the daemon died, by what it left.
std::string phase_of(const Node& node) {
  auto count = [&](const std::string& what) {
    return std::stoi(
        node.run({"sh", "-c", "cd " + node.dir() + "/root/images; ls -d " + what + " 2>/dev/null | wc -l"}).out);
  };
  if (count("ingest/*/*") == 0)
    return count("layers/*/layer.json") > 0 ? "after its last file was in place" : "before the first layer";
  if (count("layers/*/layer.json") > 0) return "while layers were marked as whole";
  if (count("layers/new-*") == 0 && count("layers/[0-9a-f]*/fs") > 0) return "while the files went to the disk";
  return count("layers/[0-9a-f]*/fs") > 0 ? "with some layers unpacked" : "with no layer unpacked";
}

// Every layer of what is listed after a kill has the files of a pull that nobody killed, and skopeo, which checks every
// digest, reads the image. Rounds: 8 with 60 MB, or 50 with 300 MB with PODSHIM_LONG.
TEST_F(ImagePull, KilledInTheMiddle) {
  const std::string name = std::string(kPlain) + "/big:1", dir = node->dir();
  ok(node->run(
      {"sh", "-ec",
       "cd " + dir + "; skopeo copy -q oci:" + image_archive("multi.oci") + ":podshim.dev/multi:1 oci:big:base; " +
           big_layers(dir) + "skopeo copy -q --dest-tls-verify=false oci:big:base docker://" + name +
           "; du -sb big/blobs >&2; rm -r big"},
      std::chrono::seconds(900)));
  const auto since = std::chrono::steady_clock::now();
  auto whole = podshim_within(std::chrono::seconds(300), {"image", "pull", name});
  ok(whole);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - since);
  const std::string good = layers_text(*node), id = status_of(name).id();
  const auto bytes = node->run({"sh", "-c", "du -sb " + dir + "/root/images/blobs | cut -f1"}).out;
  TearDown();

  const int rounds = long_run() ? 50 : 8;
  int torn = 0, listed = 0;
  std::map<std::string, int> phases;
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < rounds; round++) {
    // Spread evenly over a little more than the time of a pull: the first ones hit it, the last ones find it listed.
    const double place = (round + std::uniform_real_distribution(0.25, 0.75)(random)) / rounds * 1.25;
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(took * place);
    SCOPED_TRACE("round " + std::to_string(round) + ", killed after " + std::to_string(delay.count()) + " ms");
    std::thread puller([&] { pull(name); });
    std::this_thread::sleep_for(delay);
    node->stop_daemon(SIGKILL);
    puller.join();
    torn += !node->run({"ls", dir + "/root/images/ingest"}).out.empty();
    const std::string phase = phase_of(*node);
    ASSERT_TRUE(node->start_daemon()) << node->log();
    EXPECT_EQ(node->run({"ls", dir + "/root/images/ingest"}).out, "");
    const bool here = status_of(name).id() == id;
    phases[phase + (here ? ", listed" : ", not listed")]++;
    if (here) {
      listed++;
      EXPECT_TRUE(layers_text(*node) == good) << "a listed image has other files than were pulled";
      ok(node->run({"sh", "-ec", "cd " + dir + "; skopeo copy -q oci:root/images:" + name + " dir:copy; rm -r copy"},
                   std::chrono::seconds(300)));
    }
    TearDown();
  }
  ok(podshim_within(std::chrono::seconds(300), {"image", "pull", name}));
  EXPECT_TRUE(layers_text(*node) == good);
  std::printf("%s bytes of blobs, a pull takes %ld ms; %d kills: %d in a pull, %d after the image was listed\n",
              bytes.substr(0, bytes.find('\n')).c_str(), static_cast<long>(took.count()), rounds, torn, listed);
  for (const auto& [phase, count] : phases) std::printf("  %3d %s\n", count, phase.c_str());
  EXPECT_GT(torn, 0) << "no kill hit a pull: nothing was tested";
}

}  // namespace
}  // namespace podshim::test

#include "tests/e2e/node/fault_image.h"

#include <sstream>

#include "tests/support/node_suite.h"

namespace podshim::test {
namespace {

// umoci adds the layers as they are; skopeo gives them their names.
constexpr const char* kMake = R"sh(
mkdir -p one/bin one/data/hidden/deep one/data/dir one/data/implied two/data/hidden two/data/implied two/bin
cp "$(command -v busybox)" one/bin/busybox
for applet in sh sleep cat; do ln one/bin/busybox one/bin/$applet; done
for file in keep gone dir/a hidden/x hidden/deep/y; do echo first > one/data/$file; done
ln -s keep one/data/relative; mknod one/data/null c 1 3; mkfifo one/data/fifo; chmod 4755 one/data/dir/a
: > two/data/.wh.gone; : > two/data/hidden/.wh..wh..opq; echo second > two/data/hidden/z
echo second > two/data/implied/new; cp two/data/hidden/z one/data/lower; ln one/data/lower two/data/link
tar -C one -cf one.tar .
tar -C two -cf two.tar data/.wh.gone data/hidden data/implied/new data/hidden/.wh..wh..opq data/hidden/z
umoci init --layout made; umoci new --image made:1
for layer in one two; do umoci raw add-layer --image made:1 $layer.tar >/dev/null 2>&1; done
umoci config --image made:1 --config.cmd sh
skopeo copy -q oci:made:1 oci:fault.oci:podshim.dev/fault:1
skopeo copy -q oci:made:1 docker-archive:fault.tar:podshim.dev/fault:1
skopeo copy -q --dest-tls-verify=false oci:made:1 docker://127.0.0.1:5000/fault:1
rm -rf one two one.tar two.tar made
)sh";

std::string images_dir(Node& node) { return node.dir() + "/root/images"; }

std::string list_store(Node& node) {
  return node.run({"sh", "-c", "cd " + images_dir(node) + " && ls blobs/sha256 layers ingest"}).out;
}

std::string g_baseline, g_files;

// The layers' files, one line each: all that they are but the size of directories, which is the file
// system's, and the time of whiteouts, which nobody sees.
std::string list_files(Node& node) {
  return node
      .run({"sh", "-c",
            "cd " + images_dir(node) +
                "/layers && find */fs -mindepth 1 \\( -type d -printf '%p %m %U:%G %T@\\n' \\) -o -type c -printf '%p "
                "%m %U:%G\\n' -o -printf '%p %y %m "
                "%U:%G %n %s "
                "%T@ %l\\n' | sort && find */fs -type f -links 1 -exec sha256sum {} + | sort"})
      .out;
}

std::string first_difference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string one, other;
  while (one == other && (std::getline(left, one), std::getline(right, other), left || right)) continue;
  return one + " / " + other;
}

std::string run_from(Node& node, const std::string& name) {
  auto pod = pod_config("image", node.cgroup_parent());
  auto made = node.cri().run_sandbox(pod);
  if (!made.status.ok()) return "sandbox: " + made.status.error_message();
  auto container = node.cri().create_container(made.id, container_config("c", name, {"sleep", "60"}), pod);
  if (!container.status.ok()) return "container: " + container.status.error_message();
  if (auto started = node.cri().start(container.id); !started.ok()) return "start: " + started.error_message();
  cri::ExecSyncResponse out;
  const std::string look = "cat /data/hidden/z /data/implied/new; cat /data/gone /data/hidden/x; true";
  auto ran = node.cri().exec(container.id, {"sh", "-c", look}, 10, &out);
  if (!ran.ok() || out.stdout() != "second\nsecond\n") return "its files: " + out.stdout() + ran.error_message();
  auto removed = node.cri().remove_sandbox(made.id);
  return removed.ok() ? "" : "remove: " + removed.error_message();
}

}  // namespace

std::string serve_fault_image(Node& node) {
  for (const char* tool : {"skopeo", "umoci"})
    if (find_tool(tool).empty()) return std::string(tool) + " is not here";
  if (auto wrong = serve_registry(node); !wrong.empty()) return wrong;
  auto made = node.run({"sh", "-ec", "cd " + node.dir() + kMake});
  return made.exit_code == 0 ? "" : made.out + made.err;
}

void keep_image_baseline(Node& node) {
  g_baseline = list_store(node);
  g_files.clear();
}

bool has_image(Node& node, const std::string& name) {
  cri::ImageStatusRequest request;
  cri::ImageStatusResponse response;
  request.mutable_image()->set_image(name);
  auto status = node.cri().call(&cri::ImageService::Stub::ImageStatus, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return !response.image().id().empty();
}

std::string image_wrong(Node& node, const std::string& name) {
  if (!has_image(node, name)) return "not listed: " + name;
  auto blobs = node.run(
      {"sh", "-c",
       "cd " + images_dir(node) +
           "/blobs/sha256 && for f in *; do echo \"$f  $f\"; done | sha256sum -c --quiet && ! ls ../../layers | "
           "grep -q new- && [ -z \"$(ls ../../ingest)\" ]"});
  if (blobs.exit_code != 0) return "blobs or scratch: " + blobs.out + blobs.err;
  const std::string files = list_files(node);
  if (g_files.empty()) g_files = files;
  if (files != g_files) return "the layers' files differ: " + first_difference(files, g_files);
  return run_from(node, name);
}

std::string image_left(Node& node) {
  const std::string now = list_store(node);
  return now == g_baseline ? "" : "in the store:\n" + now + "instead of:\n" + g_baseline;
}

}  // namespace podshim::test

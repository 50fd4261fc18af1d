#include "tests/support/registry.h"

#include <unistd.h>

#include <fstream>

#include "tests/support/no_proxy.h"

namespace podshim::test {

std::string serve_registry(Node& node) {
  const std::string program = find_tool("docker-registry");
  if (program.empty()) return "docker-registry is not here";
  ignore_proxies();
  const std::string& dir = node.dir();
  std::ofstream(dir + "/registry.yml") << "version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: "
                                       << dir << "/registry-data}\nhttp:\n  addr: " << kRegistry << "\n";
  std::ofstream(dir + "/registries.yaml")
      << "mirrors:\n  \"" << kRegistry << "\":\n    endpoint: [\"http://" << kRegistry << "\"]\n";
  node.spawn("registry", {program, "serve", dir + "/registry.yml"});
  for (int i = 0; node.run({"curl", "-s", std::string("http://") + kRegistry + "/v2/"}).exit_code != 0; i++) {
    if (i == 200) return "no answer from the registry";
    ::usleep(50'000);
  }
  return "";
}

std::string push_archive(Node& node, const std::string& name) {
  auto pushed = node.run({"skopeo", "copy", "-q", "--dest-tls-verify=false",
                          "oci:" + image_archive(name + ".oci") + ":podshim.dev/" + name + ":1",
                          std::string("docker://") + kRegistry + "/" + name + ":1"});
  return pushed.exit_code == 0 ? "" : "push: " + pushed.err;
}

grpc::Status pull_image(Node& node, const std::string& name) {
  cri::PullImageRequest request;
  cri::PullImageResponse response;
  request.mutable_image()->set_image(name);
  return node.cri().call(&cri::ImageService::Stub::PullImage, request, &response);
}

grpc::Status remove_image(Node& node, const std::string& name) {
  cri::RemoveImageRequest request;
  cri::RemoveImageResponse response;
  request.mutable_image()->set_image(name);
  return node.cri().call(&cri::ImageService::Stub::RemoveImage, request, &response);
}

}  // namespace podshim::test

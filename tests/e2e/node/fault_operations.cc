// What the daemon is killed in.
#include <fstream>

#include "tests/e2e/node/fault_image.h"
#include "tests/e2e/node/fault_suite.h"

namespace podshim::test {
namespace {

std::string expect_counts(Node& node, std::size_t pods, std::size_t inside) {
  const auto seen_pods = count_sandboxes(node), seen_inside = count_containers(node);
  if (seen_pods == pods && seen_inside == inside) return "";
  return std::to_string(seen_pods) + " sandboxes and " + std::to_string(seen_inside) + " containers";
}

std::string expect_ended(Node& node, World& w) {
  auto state = node.cri().container_status(w.container_id).state();
  return state == cri::CONTAINER_EXITED ? expect_counts(node, 1, 1) : "state " + std::to_string(state);
}

std::string expect_stopped(Node& node, World& w) {
  if (node.cri().sandbox_status(w.sandbox_id).state() == cri::SANDBOX_READY) return "still ready";
  if (has_lease(node, w.sandbox_id)) return "its address is still taken";
  return expect_counts(node, 1, 1);
}

std::string expect_echo(Node& node, World& w) {
  cri::ExecSyncResponse out;
  auto ran = node.cri().exec(w.container_id, {"echo", "in"}, 10, &out);
  return ran.ok() && out.stdout() == "in\n" ? expect_counts(node, 1, 1) : "exec: " + ran.error_message();
}

void mount_in_volume(Node& node, World& w) {
  const std::string at = node.dir() + "/root/sandboxes/" + w.sandbox_id + "/volumes/shared/mounted";
  auto mounted = node.run({"sh", "-c", "mkdir -p " + at + " && mount -t tmpfs tmpfs " + at});
  EXPECT_EQ(mounted.exit_code, 0) << mounted.err;
}

Status reopen_log(Node& node, World& w) {
  cri::ReopenContainerLogRequest request;
  cri::ReopenContainerLogResponse response;
  request.set_container_id(w.container_id);
  return node.cri().call(&cri::RuntimeService::Stub::ReopenContainerLog, request, &response);
}

// ---- updates: what is answered is in force and kept, whenever the daemon died ----

Status update_limits(Node& node, World& w) {
  cri::UpdateContainerResourcesRequest request;
  cri::UpdateContainerResourcesResponse response;
  request.set_container_id(w.container_id);
  request.mutable_linux()->set_cpu_shares(512);
  request.mutable_linux()->set_memory_limit_in_bytes(96 << 20);
  return node.cri().call(&cri::RuntimeService::Stub::UpdateContainerResources, request, &response);
}

std::string expect_limits(Node& node, World& w) {
  const auto limits = node.cri().container_status(w.container_id).resources().linux();
  if (limits.memory_limit_in_bytes() != 96 << 20) return "status: " + limits.ShortDebugString();
  const auto in_force = node.run({"sh", "-c",
                                  "find /sys/fs/cgroup -path '*" + w.container_id +
                                      "/memory*' \\( -name memory.limit_in_bytes -o -name memory.max \\) "
                                      "-exec cat {} +"});
  return in_force.out == std::to_string(96 << 20) + "\n" ? expect_counts(node, 1, 1) : "in force: " + in_force.out;
}

Status update_pod(Node& node, World& w) {
  cri::UpdatePodSandboxResourcesRequest request;
  cri::UpdatePodSandboxResourcesResponse response;
  request.set_pod_sandbox_id(w.sandbox_id);
  request.mutable_resources()->set_cpu_shares(777);
  return node.cri().call(&cri::RuntimeService::Stub::UpdatePodSandboxResources, request, &response);
}

std::string expect_pod_limits(Node& node, World& w) {
  const auto record = node.run({"cat", node.dir() + "/root/sandboxes/" + w.sandbox_id + "/record.json"}).out;
  return record.find("777") != std::string::npos ? expect_counts(node, 1, 0) : "kept: " + record;
}

std::string cidr_of(const World& w) { return "10.42." + std::to_string(w.serial % 200) + ".0/24"; }

Status set_pod_cidr(Node& node, World& w) {
  cri::UpdateRuntimeConfigRequest request;
  cri::UpdateRuntimeConfigResponse response;
  request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(cidr_of(w));
  return node.cri().call(&cri::RuntimeService::Stub::UpdateRuntimeConfig, request, &response);
}

// ---- a CNI DEL that fails ----

Status restart(Node& node) {
  node.stop_daemon(SIGKILL);
  if (node.start_daemon()) return Status::OK;
  const std::string log = node.log();
  const std::string end = log.substr(log.size() - std::min<std::size_t>(log.size(), 1500));
  return {grpc::StatusCode::UNAVAILABLE, "the daemon did not come up; the end of its log:\n" + end};
}

// The plugin has recovered when the call comes again.
Status stop_with_failing_del(Node& node, World& w) {
  auto first = node.cri().stop_sandbox(w.sandbox_id);
  Fault::fail_del(false);
  return first.ok() ? first : node.cri().stop_sandbox(w.sandbox_id);
}

// Until the plugin works again the address is on the books: of the Pod, or of the debt.
std::string expect_on_the_books(Node& node, World& w) {
  const auto owed = debts(node);
  if (!has_lease(node, w.sandbox_id)) return "its address was given away";
  if (owed.size() > 1) return std::to_string(owed.size()) + " debts";
  return count_sandboxes(node) + owed.size() >= 1 ? "" : "neither Pod nor debt";
}

std::string expect_debt_settled(Node& node, World& w) {
  if (count_sandboxes(node) != (w.other.empty() ? 0 : 1)) return "another number of sandboxes";
  if (!debts(node).empty()) return "still owed";
  if (has_lease(node, w.sandbox_id)) return "its address is still taken";
  if (!w.other.empty() && !has_lease(node, w.other)) return "the address of another Pod went with it";
  return "";
}

std::string expect_debt(Node& node, World& w) {
  const auto owed = debts(node);
  if (owed != std::vector<std::string>{w.sandbox_id + ".json"}) return std::to_string(owed.size()) + " debts";
  if (!has_lease(node, w.sandbox_id)) return "its address was given away";
  if (auto counts = expect_counts(node, 0, 0); !counts.empty()) return counts;
  Fault::fail_del(false);
  if (auto up = restart(node); !up.ok()) return up.error_message();
  return at_last(std::chrono::seconds(10), [&] { return expect_debt_settled(node, w); });
}

void leave_debt(Node& node, World& w) {
  Fault::fail_del(true);
  auto removed = node.cri().remove_sandbox(w.sandbox_id);
  EXPECT_TRUE(removed.ok()) << removed.error_message();
  Fault::fail_del(false);
  auto other = node.cri().run_sandbox(pod_config("other", node.cgroup_parent()));
  EXPECT_TRUE(other.status.ok()) << other.status.error_message();
  w.other = other.id;
}

Status settle_debt(Node& node, World&) {
  if (auto up = restart(node); !up.ok()) return up;
  auto owed = at_last(std::chrono::seconds(10),
                      [&] { return debts(node).empty() || node.daemon_has_ended() ? "" : "still owed"; });
  return debts(node).empty() ? Status::OK : Status(grpc::StatusCode::UNAVAILABLE, "killed, or " + owed);
}

// ---- images ----

// Listed and whole, or gone without a trace.
std::string whole_or_absent(Node& node, const std::string& name) {
  return has_image(node, name) ? image_wrong(node, name) : image_left(node);
}

Status import(Node& node, const std::string& file) {
  auto done = node.import_image(node.dir() + "/" + file);
  return done.exit_code == 0 ? Status::OK : Status(grpc::StatusCode::UNAVAILABLE, done.err);
}

std::string absent(Node& node, const std::string& name) {
  return has_image(node, name) ? "still listed" : image_left(node);
}

void expect_pulled(Node& node, World&) {
  auto pulled = pull_image(node, kPulledImage);
  EXPECT_TRUE(pulled.ok()) << pulled.error_message();
}

// What a killed pull left, for the next start.
void leave_torn_pull(Node& node, World&) {
  Fault::arm(node, {.name = "sync images"});
  auto pulled = pull_image(node, kPulledImage);
  EXPECT_FALSE(pulled.ok());
  EXPECT_TRUE(node.daemon_has_ended());
}

std::string swept(Node& node, World&) {
  if (auto left = absent(node, kPulledImage); !left.empty()) return left;
  return at_last(std::chrono::seconds(10), [&] { return node.run({"ls", node.dir() + "/root/images/trash"}).out; });
}

std::string imported_wrong(Node& node, World&) { return image_wrong(node, kImportedImage); }
std::string imported_torn(Node& node, World&) { return whole_or_absent(node, kImportedImage); }
std::string pulled_wrong(Node& node, World&) { return image_wrong(node, kPulledImage); }
std::string pulled_torn(Node& node, World&) { return whole_or_absent(node, kPulledImage); }

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = {
      {"RunPodSandbox", 0, run_sandbox,
       [](Node& node, World& w) {
         if (node.cri().sandbox_status(w.sandbox_id).state() != cri::SANDBOX_READY) return std::string("not ready");
         return expect_counts(node, 1, 0);
       }},
      {"CreateContainer", 1, create_container,
       [](Node& node, World& w) {
         if (auto started = node.cri().start(w.container_id); !started.ok()) return "start: " + started.error_message();
         return expect_counts(node, 1, 1);
       }},
      {"StartContainer", 2, [](Node& node, World& w) { return node.cri().start(w.container_id); }, expect_echo},
      {"StopContainer", 3, [](Node& node, World& w) { return node.cri().stop(w.container_id, 0); }, expect_ended},
      {"StopContainer, with grace", 3, [](Node& node, World& w) { return node.cri().stop(w.container_id, 10); },
       expect_ended},
      {"ReopenContainerLog", 3, reopen_log, expect_echo},
      {"UpdateContainerResources", 3, update_limits, expect_limits},
      {"UpdatePodSandboxResources", 1, update_pod, expect_pod_limits},
      {"RemoveContainer", 3, [](Node& node, World& w) { return node.cri().remove(w.container_id); },
       [](Node& node, World&) { return expect_counts(node, 1, 0); }},
      {"StopPodSandbox", 3, [](Node& node, World& w) { return node.cri().stop_sandbox(w.sandbox_id); }, expect_stopped},
      {"RemovePodSandbox", 3, [](Node& node, World& w) { return node.cri().remove_sandbox(w.sandbox_id); },
       [](Node& node, World&) { return expect_counts(node, 0, 0); }},
      {"RemovePodSandbox, a mount in its volume", 3,
       [](Node& node, World& w) { return node.cri().remove_sandbox(w.sandbox_id); },
       [](Node& node, World&) { return expect_counts(node, 0, 0); }, mount_in_volume},
      {"StopPodSandbox, DEL fails once", 3, stop_with_failing_del, expect_stopped,
       [](Node&, World&) { Fault::fail_del(true); }},
      {"RemovePodSandbox, DEL fails", 3, [](Node& node, World& w) { return node.cri().remove_sandbox(w.sandbox_id); },
       expect_debt, [](Node&, World&) { Fault::fail_del(true); }, expect_on_the_books},
      {"a start that settles a debt", 3, settle_debt, expect_debt_settled, leave_debt},
      {"UpdateRuntimeConfig", 0, set_pod_cidr,
       [](Node& node, World& w) {
         auto kept = node.run({"cat", node.dir() + "/root/pod-cidr"});
         return kept.out == cidr_of(w) + "\n" ? std::string() : "kept: " + kept.out;
       }},
      {"ImportImage",
       0,
       [](Node& node, World&) { return import(node, kFaultArchive); },
       imported_wrong,
       {},
       imported_torn},
      {"ImportImage, a layout",
       0,
       [](Node& node, World&) { return import(node, kFaultLayout); },
       imported_wrong,
       {},
       imported_torn},
      {"PullImage",
       0,
       [](Node& node, World&) { return pull_image(node, kPulledImage); },
       pulled_wrong,
       {},
       pulled_torn},
      {"RemoveImage", 0, [](Node& node, World&) { return remove_image(node, kPulledImage); },
       [](Node& node, World&) { return absent(node, kPulledImage); }, expect_pulled, pulled_torn},
      {"a start after a torn pull", 0, [](Node& node, World&) { return restart(node); }, swept, leave_torn_pull},
  };
  return all;
}

}  // namespace podshim::test

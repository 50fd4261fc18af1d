// CreateContainer: everything that can be wrong with a request is found here, before the start: image, user, mounts,
// devices, profile, plan. What it makes: a record, the overlay's directories, the root held by the monitor.
#include "common/log.h"
#include "common/sys/file.h"
#include "shim/apply/image_view.h"
#include "shim/lifecycle/node_runtime.h"
#include "shim/lifecycle/signals.h"
#include "shim/plan/log_path.h"
#include "shim/plan/user.h"

namespace podshim::lifecycle {
namespace {

constexpr std::size_t kMaxProfile = 4UL << 20;

// What the request points at on the host and is not there is the request's fault; the errno stays.
Error blame_request(Error e) {
  if (e.kind == ErrorKind::os && (e.is(ENOENT) || e.is(ENOTDIR) || e.is(EACCES) || e.is(EINVAL) || e.is(EFBIG)))
    e.kind = ErrorKind::invalid_argument;
  return e;
}

template <typename T>
Result<T> blamed(Result<T> r) {
  if (!r) r.error() = blame_request(std::move(r).error());
  return r;
}

}  // namespace

Result<ContainerId> NodeRuntime::create_container(const std::string& sandbox_id, const ContainerSpec& spec) {
  auto sandbox = TRY(find_sandbox(sandbox_id));
  auto differs = [&](const ContainerSpec& running) { return state::first_difference(running, spec); };
  const std::string key = name_key(sandbox->id, spec);
  return container_creates_.run(key, spec, differs, [&](Stage& stage) -> Result<ContainerId> {
    if (auto there = table_.container_named(key)) return existing_container(*there, spec);
    return make_container(sandbox, spec, stage);
  });
}

Result<ContainerId> NodeRuntime::existing_container(const Container& container, const ContainerSpec& spec) const {
  const std::string other = state::first_difference(container.record.spec, spec);
  const ContainerState state = container.state();
  if (other.empty() && state != ContainerState::exited) return container.id;
  const auto age = (host().now_ns() - container.record.created_at_ns) / 1'000'000'000;
  return fail(Error::of(ErrorKind::already_exists, "container", spec.metadata.name,
                        "is " + container.id.str() + ", " + std::to_string(age) + " s old" +
                            (state == ContainerState::exited ? ", exited" : "") +
                            (other.empty() ? "" : ", with another config: " + other)));
}

Result<ContainerId> NodeRuntime::make_container(const std::shared_ptr<Sandbox>& sandbox, const ContainerSpec& spec,
                                                Stage& stage) {
  stage.enter("check");
  TRY(monitor_of(*sandbox));
  auto image = parts_.images->find(spec.image);
  if (!image) return fail(Error::of(ErrorKind::not_found, "image", spec.image, "is not here; pull or import it first"));
  TRY(check_target(*sandbox, spec));
  const ContainerId id = *ContainerId::parse(random_hex(32));
  state::ContainerRecord record{
      .id = id,
      .sandbox = sandbox->id,
      .spec = spec,
      .created_at_ns = host().now_ns(),
      .image_id = image->id,
      .image_reference = image->repo_digests.empty() ? image->id : image->repo_digests.front(),
      .image_process = image->process,
      .log_path = TRY(container_log_path(sandbox->record.spec.log_directory, spec.log_path))};
  auto container = std::make_shared<Container>(std::move(record), sandbox, cgroup_of(sandbox->record, id));
  TRY(blamed(host().check_mount_sources(sandbox->record.spec, spec, sandbox->facts)));
  if (auto signal = parse_signal(image->process.stop_signal); !signal)
    warn_once("image " + image->id + ": " + signal.error().text() + "; SIGTERM is used");

  table_.begin(id.str());
  Rollback undo = rollback("container " + id.str());
  auto built = build_container(*container, *image, stage, undo);
  if (built && !table_.add(container))
    built = fail(
        Error::of(ErrorKind::failed_precondition, "create container", sandbox->id.str(), "the sandbox was removed"));
  if (!built) {
    undo.run();
    table_.end(id.str());
    return fail(std::move(built).error().within("create container " + spec.metadata.name));
  }
  undo.commit();
  publish(*container);
  table_.end(id.str());
  log::info("container created", {{"container", id.str()},
                                  {"sandbox", sandbox->id.str()},
                                  {"name", spec.metadata.name},
                                  {"image", image->id},
                                  {"ms", stage.timings()}});
  return id;
}

Result<> NodeRuntime::build_container(Container& container, const Image& image, Stage& stage, Rollback& undo) {
  const ContainerId id = container.id;
  auto monitor = TRY(monitor_of(*container.sandbox));
  stage.enter("intent");
  undo.add("remove record", [this, id] { return journal_.remove(id); });
  TRY(journal_.write(container.record));

  stage.enter("root");
  Fd root = TRY(parts_.images->mount_rootfs(image, journal_.dir(id)));
  const auto users = TRY(read_user_files(root));
  container.record.user = TRY(resolve_user(container.record.spec.security, image.process.user, users));

  stage.enter("plan");
  TRY(plan_container(input_of(container, TRY(observe(container.record.spec))), filters_));

  stage.enter("monitor");
  TRY(monitor->create_container(id, std::move(root)));
  undo.add("drop root", [monitor, id] { return monitor->remove_container(id); });

  stage.enter("record");
  container.record.created = true;
  return journal_.write(container.record);
}

Result<NodeRuntime::Observed> NodeRuntime::observe(const ContainerSpec& spec) {
  Observed out;
  out.devices = TRY(blamed(host().observe_devices(spec)));
  if (const auto& seccomp = spec.security.seccomp; seccomp.type == SeccompChoice::Type::localhost)
    out.seccomp_profile = TRY_IN(blamed(sys::read_file(seccomp.localhost_ref, kMaxProfile)),
                                 "read security_context.seccomp.localhost_ref");
  return out;
}

// Pid mode TARGET: the container whose pid namespace is shared must run in this Pod.
Result<> NodeRuntime::check_target(const Sandbox& sandbox, const ContainerSpec& spec) const {
  const auto& options = spec.security.namespaces;
  if (options.pid != NamespaceMode::target) return {};
  auto refuse = [&](const std::string& why) {
    return fail(Error::invalid("security_context.namespace_options.target_id", "\"" + options.target_id + "\" " + why));
  };
  auto target = table_.container(options.target_id);
  if (!target || !*target) return refuse("is no container");
  if ((*target)->sandbox->id != sandbox.id) return refuse("is a container of another Pod");
  if ((*target)->state() != ContainerState::running) return refuse("is not running");
  return {};
}

ContainerInput NodeRuntime::input_of(const Container& container, Observed observed, int leaf) const {
  return {.sandbox = container.sandbox->record.spec,
          .container = container.record.spec,
          .image = container.record.image_process,
          .user = container.record.user,
          .facts = container.sandbox->facts,
          .host = parts_.facts,
          .config = parts_.config.podshim,
          .instance = instance(),
          .id = container.id,
          .devices = std::move(observed.devices),
          .seccomp_profile = std::move(observed.seccomp_profile),
          .exec_leaf = leaf};
}

}  // namespace podshim::lifecycle

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
  ContainerSpec resolved = spec;
  if (spec.security.namespaces.pid == NamespaceMode::target)
    resolved.security.namespaces.target_id = TRY(target_of(*sandbox, spec));
  const ContainerId id = *ContainerId::parse(random_hex(32));
  state::ContainerRecord record{
      .id = id,
      .sandbox = sandbox->id,
      .spec = std::move(resolved),
      .created_at_ns = host().now_ns(),
      .image_id = image->id,
      .image_reference = image->repo_digests.empty() ? image->id : image->repo_digests.front(),
      .image_process = image->process,
      .log_path = TRY(container_log_path(sandbox->record.spec.log_directory, spec.log_path))};
  auto container = std::make_shared<Container>(std::move(record), sandbox, cgroup_of(sandbox->record, id));
  container->layer = LayerUse{.at_ns = container->record.created_at_ns};  // it is made empty
  stage.enter("mount sources");
  TRY(blamed(mount_looks_.run(TRY(host().mount_looks(sandbox->record.spec, spec, sandbox->facts)))));
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
    return fail(std::move(built).error());
  }
  undo.commit();
  publish(*container);
  table_.end(id.str());
  keep(stage.timeline("CreateContainer", host().now_ns()), *container, &container->creation);
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
  auto volumes = TRY(mount_image_volumes(container));
  const auto users = TRY(read_user_files(root));
  container.record.user = TRY(resolve_user(container.record.spec.security, image.process.user, users));

  stage.enter("plan");
  TRY(keep_profile(container));
  TRY(plan_container(input_of(container, TRY(observe(container))), filters_));

  stage.enter("monitor");
  TRY(monitor->create_container(id, std::move(root), std::move(volumes)));
  undo.add("drop root", [monitor, id] { return monitor->remove_container(id); });

  stage.enter("record");
  container.record.created = true;
  return journal_.write(container.record);
}

// The images that are volumes, in the order of the mounts. Their layers are in use as long as the container's own.
Result<std::vector<Fd>> NodeRuntime::mount_image_volumes(Container& container) {
  std::vector<Fd> out;
  const auto& mounts = container.record.spec.mounts;
  for (std::size_t i = 0; i < mounts.size(); i++) {
    const auto& mount = mounts[i];
    if (mount.image.empty()) continue;
    const std::string field = "config.mounts[" + std::to_string(i) + "]";
    auto image = parts_.images->find(mount.image);
    if (!image)
      return fail(Error::of(ErrorKind::not_found, "image", mount.image, "of " + field + " is not here; pull it first"));
    out.push_back(
        TRY_IN(blamed(parts_.images->mount_readonly(*image, journal_.dir(container.id), mount.image_sub_path)),
               field + ".image_sub_path \"" + mount.image_sub_path + "\""));
    container.record.volume_images.push_back(image->id);
  }
  return out;
}

Result<std::string> NodeRuntime::read_profile(const std::string& path) const {
  auto text = std::make_shared<std::string>();
  auto look = [path, text]() -> Result<> {
    *text = TRY(sys::read_file(path, kMaxProfile));
    return {};
  };
  TRY(blamed(mount_looks_.run({{.path = path, .look = std::move(look)}}, "seccomp profile")));
  return std::move(*text);
}

// The container keeps the profile that it was created with: its execs get the same, whatever becomes of the file.
Result<> NodeRuntime::keep_profile(const Container& container) {
  const auto& seccomp = container.record.spec.security.seccomp;
  if (seccomp.type != SeccompChoice::Type::localhost) return {};
  const std::string text = TRY_IN(read_profile(seccomp.localhost_ref), "read security_context.seccomp.localhost_ref");
  return sys::write_file_atomic(profile_path(container.id), text, 0600);
}

Result<std::string> NodeRuntime::kept_profile(const Container& container) const {
  if (container.record.spec.security.seccomp.type != SeccompChoice::Type::localhost) return std::string();
  auto kept = sys::read_file(profile_path(container.id), kMaxProfile);
  if (kept || !kept.error().is(ENOENT)) return kept;
  // A container of a daemon that did not keep it yet.
  return read_profile(container.record.spec.security.seccomp.localhost_ref);
}

Result<NodeRuntime::Observed> NodeRuntime::observe(const Container& container) const {
  auto devices = std::make_shared<std::vector<DeviceNode>>();
  TRY(blamed(mount_looks_.run(host().device_looks(container.record.spec, devices), "devices")));
  return Observed{.devices = std::move(*devices), .seccomp_profile = TRY(kept_profile(container))};
}

// Pid mode TARGET: the container whose pid namespace is shared must run in this Pod. Its whole id, of a prefix too.
Result<std::string> NodeRuntime::target_of(const Sandbox& sandbox, const ContainerSpec& spec) const {
  const auto& options = spec.security.namespaces;
  auto refuse = [&](const std::string& why) {
    return fail(Error::invalid("security_context.namespace_options.target_id", "\"" + options.target_id + "\" " + why));
  };
  auto target = table_.container(options.target_id);
  if (!target || !*target) return refuse("is no container");
  if ((*target)->sandbox->id != sandbox.id) return refuse("is a container of another Pod");
  if ((*target)->state() != ContainerState::running) return refuse("is not running");
  return (*target)->id.str();
}

ContainerInput NodeRuntime::input_of(const Container& container, Observed observed, int leaf) const {
  std::optional<Resources> updated;
  {
    std::lock_guard lock(container.mutex);
    updated = container.record.resources;
  }
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
          .updated = std::move(updated),
          .exec_leaf = leaf};
}

}  // namespace podshim::lifecycle

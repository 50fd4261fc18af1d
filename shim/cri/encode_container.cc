#include "common/json.h"
#include "shim/cri/decode_common.h"
#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

// The name under which people know the image: clients that resolved it to an id say it apart.
void encode_image_spec(const ContainerSpec& spec, v1::ImageSpec* out) {
  out->set_image(spec.user_specified_image.empty() ? spec.image : spec.user_specified_image);
  out->set_user_specified_image(spec.user_specified_image);
}

void encode_metadata(const Metadata& m, v1::ContainerMetadata* out) {
  out->set_name(m.name);
  out->set_attempt(m.attempt);
}

v1::MountPropagation encode_propagation(Mount::Propagation propagation) {
  switch (propagation) {
    case Mount::Propagation::private_:
      return v1::PROPAGATION_PRIVATE;
    case Mount::Propagation::host_to_container:
      return v1::PROPAGATION_HOST_TO_CONTAINER;
    case Mount::Propagation::bidirectional:
      return v1::PROPAGATION_BIDIRECTIONAL;
  }
  return v1::PROPAGATION_PRIVATE;
}

// `image_id`: of an image volume.
void encode_mount(const Mount& mount, const std::string& image_id, v1::Mount* out) {
  out->set_container_path(mount.container_path);
  out->set_host_path(mount.host_path);
  out->set_readonly(mount.readonly);
  out->set_recursive_read_only(mount.recursive_readonly);
  out->set_selinux_relabel(mount.selinux_relabel);
  out->set_propagation(encode_propagation(mount.propagation));
  if (mount.image.empty()) return;
  out->mutable_image()->set_image(mount.image);
  out->mutable_image()->set_user_specified_image(mount.user_specified_image);
  out->mutable_image()->set_image_ref(image_id);
  out->set_image_sub_path(mount.image_sub_path);
}

void encode_user(const ProcessUser& user, v1::LinuxContainerUser* out) {
  out->set_uid(user.uid);
  out->set_gid(user.gid);
  for (auto group : user.groups) out->add_supplemental_groups(group);
}

template <typename Message>
void encode_maps(const ContainerSpec& spec, Message* out) {
  out->mutable_labels()->insert(spec.labels.begin(), spec.labels.end());
  out->mutable_annotations()->insert(spec.annotations.begin(), spec.annotations.end());
}

}  // namespace

v1::ContainerState encode_state(ContainerState state) {
  switch (state) {
    case ContainerState::created:
      return v1::CONTAINER_CREATED;
    case ContainerState::running:
      return v1::CONTAINER_RUNNING;
    case ContainerState::exited:
      return v1::CONTAINER_EXITED;
    case ContainerState::unknown:
      return v1::CONTAINER_UNKNOWN;
  }
  return v1::CONTAINER_UNKNOWN;
}

void encode_container(const ContainerView& view, v1::Container* out) {
  out->set_id(view.id.str());
  out->set_pod_sandbox_id(view.sandbox.str());
  encode_metadata(view.spec.metadata, out->mutable_metadata());
  encode_image_spec(view.spec, out->mutable_image());
  out->set_image_ref(view.image_id);  // older kubelets look here for the images in use, by Image.id
  out->set_image_id(view.image_id);
  out->set_state(encode_state(view.state));
  out->set_created_at(view.created_at_ns);
  encode_maps(view.spec, out);
}

void encode_container_status(const ContainerView& view, v1::ContainerStatus* out) {
  out->set_id(view.id.str());
  encode_metadata(view.spec.metadata, out->mutable_metadata());
  out->set_state(encode_state(view.state));
  out->set_created_at(view.created_at_ns);
  out->set_started_at(view.started_at_ns);
  out->set_finished_at(view.finished_at_ns);
  out->set_exit_code(view.exit_code);
  encode_image_spec(view.spec, out->mutable_image());
  out->set_image_ref(view.image_reference.empty() ? view.image_id : view.image_reference);
  out->set_image_id(view.image_id);
  out->set_reason(utf8(view.reason));
  out->set_message(utf8(view.message));
  encode_maps(view.spec, out);
  auto image = view.volume_images.begin();
  for (const auto& mount : view.spec.mounts) {
    const bool of_image = !mount.image.empty() && image != view.volume_images.end();
    encode_mount(mount, of_image ? *image++ : std::string(), out->add_mounts());
  }
  out->set_log_path(view.log_path);
  if (view.spec.resources) encode_resources(*view.spec.resources, out->mutable_resources()->mutable_linux());
  encode_user(view.user, out->mutable_user()->mutable_linux());
  out->set_stop_signal(signal_of(view.spec.stop_signal));
}

std::string container_info(const ContainerView& view) {
  auto config = json::Value::object();
  config.set("command", json::Value::strings(view.spec.command))
      .set("args", json::Value::strings(view.spec.args))
      .set("workingDir", view.spec.working_dir)
      .set("tty", view.spec.tty)
      .set("stdin", view.spec.stdin_open)
      .set("privileged", view.spec.security.privileged);
  auto info = json::Value::object();
  info.set("sandboxID", view.sandbox.str())
      .set("pid", view.pid)
      .set("imageID", view.image_id)
      .set("logDroppedBytes", static_cast<std::int64_t>(view.log_lost))
      .set("config", std::move(config));
  return json::dump(info);
}

}  // namespace podshim::cri

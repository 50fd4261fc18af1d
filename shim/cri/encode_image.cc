#include <charconv>

#include "common/json.h"
#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

// The user of an image config is "user" or "user:group"; CRI wants a number or a name.
void encode_user(const std::string& config_user, v1::Image* out) {
  const std::string user = config_user.substr(0, config_user.find(':'));
  if (user.empty()) return;
  std::int64_t uid = 0;
  const auto [end, err] = std::from_chars(user.data(), user.data() + user.size(), uid);
  if (err == std::errc() && end == user.data() + user.size() && uid >= 0) {
    out->mutable_uid()->set_value(uid);
  } else {
    out->set_username(utf8(user));
  }
}

}  // namespace

void encode_image(const Image& image, v1::Image* out) {
  out->set_id(image.id);
  for (const auto& tag : image.repo_tags) out->add_repo_tags(utf8(tag));
  for (const auto& digest : image.repo_digests) out->add_repo_digests(utf8(digest));
  out->set_size(std::max<std::uint64_t>(image.size_bytes, 1));  // 0 means "no image" to a kubelet
  encode_user(image.process.user, out);
}

std::string image_info(const Image& image) {
  auto config = json::Value::object();
  config.set("User", image.process.user)
      .set("Entrypoint", json::Value::strings(image.process.entrypoint))
      .set("Cmd", json::Value::strings(image.process.cmd))
      .set("Env", json::Value::strings(image.process.env))
      .set("WorkingDir", image.process.working_dir)
      .set("StopSignal", image.process.stop_signal)
      .set("Volumes", json::Value::strings(image.process.volumes));
  auto info = json::Value::object();
  info.set("id", image.id).set("layers", json::Value::strings(image.layers)).set("config", std::move(config));
  return json::dump(info);
}

}  // namespace podshim::cri

#include "cni/bridge/ipam_call.h"

#include "cni/ipam/host_local.h"
#include "cni/skel/delegate.h"

namespace podshim::cni::bridge {

Result<std::string> IpamCall::program() {
  auto file = TRY(find_plugin(request_, type_));
  if (type_ == "host-local" && carries_note(file, ipam::kNote)) return std::string();
  return file;
}

Result<AddResult> IpamCall::add() {
  auto file = TRY(program());
  if (file.empty()) return ipam::add(request_, boot_id_);
  auto result = [&]() -> Result<AddResult> {
    auto output = TRY(run_plugin(file, request_, Command::add));
    auto value = json::parse(output);
    if (!value) return fail(Error::of(ErrorKind::unavailable, "run plugin", file, "its answer is no JSON"));
    return parse_result(*value, "result of " + type_);
  }();
  if (!result) {
    // What it took before it failed goes back; its first words are the ones that count.
    [[maybe_unused]] auto undone = run_plugin(file, request_, Command::del);
  }
  return result;
}

Result<std::vector<IpAddress>> IpamCall::del() {
  auto file = TRY(program());
  if (file.empty()) return ipam::del(request_, boot_id_);
  TRY(run_plugin(file, request_, Command::del));
  return std::vector<IpAddress>{};
}

Result<> IpamCall::run(Command command) {
  auto file = TRY(program());
  if (!file.empty()) {
    TRY(run_plugin(file, request_, command));
    return {};
  }
  if (command == Command::check) return ipam::check(request_, boot_id_);
  if (command == Command::status) return ipam::status(request_, boot_id_);
  return ipam::gc(request_, boot_id_);
}

}  // namespace podshim::cni::bridge

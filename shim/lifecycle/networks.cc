#include "shim/lifecycle/networks.h"

#include "common/log.h"
#include "common/sys/file.h"
#include "shim/cni_client/template.h"

namespace podshim::lifecycle {
namespace {

constexpr const char* kNotReady = "NetworkPluginNotReady";
constexpr std::chrono::seconds kGcTimeout{5};  // for each plugin
constexpr const char* kTemplate = "/podshim.conflist.template";
constexpr const char* kRendered = "/10-podshim-template.conflist";

}  // namespace

Networks::Networks(cni::PluginRunner& plugins, const PodshimConfig& config, std::string pod_cidr_file)
    : dir_(config.cni_conf_dir),
      pod_cidr_file_(std::move(pod_cidr_file)),
      network_(plugins, config.cni_bin_dirs, config.cni_timeout),
      gc_network_(plugins, config.cni_bin_dirs, kGcTimeout) {
  pod_cidr_ = sys::read_file(pod_cidr_file_, 256).value_or("");
  while (!pod_cidr_.empty() && pod_cidr_.back() == '\n') pod_cidr_.pop_back();
}

Result<Networks::Loaded> Networks::load() {
  const std::string print = cni::fingerprint(dir_);
  {
    std::lock_guard lock(mutex_);
    if (loaded_.list && !print.empty() && print == loaded_.fingerprint) return loaded_;
  }
  Loaded now{.fingerprint = print, .list = std::make_shared<cni::NetworkList>(TRY(cni::load_network(dir_)))};
  std::lock_guard lock(mutex_);
  loaded_ = now;
  return now;
}

Result<std::shared_ptr<const cni::NetworkList>> Networks::current() {
  auto now = load();
  if (now) return now->list;
  // NOT_FOUND would be about the sandbox that the caller named, and a configuration may come at any time.
  if (now.error().kind == ErrorKind::not_found) now.error().kind = ErrorKind::unavailable;
  return fail(std::move(now).error());
}

Result<cni::Attachment> Networks::attachment(const SandboxId& id, const SandboxSpec& spec,
                                             const std::string& netns) const {
  cni::Attachment out{.container_id = id.str(),
                      .netns = netns,
                      .pod = spec.metadata,
                      .ports = spec.ports,
                      .ips = TRY(cni::wanted_ips(spec.annotations)),
                      .dns = spec.dns,
                      .bandwidth = TRY(cni::bandwidth_of(spec.annotations)),
                      .drops_netns = true};
  TRY(cni::cni_args(out));
  std::lock_guard lock(mutex_);
  out.pod_cidr = pod_cidr_;
  return out;
}

std::unique_ptr<cni::WaitingPlugin> Networks::start_add(const cni::NetworkList& list,
                                                        const cni::Attachment& attachment) {
  return network_.start_add(list, attachment);
}

Result<json::Value> Networks::add(const cni::NetworkList& list, const cni::Attachment& attachment,
                                  std::unique_ptr<cni::WaitingPlugin> first, const cni::TurnObserver& told) {
  {
    std::unique_lock lock(mutex_);
    collected_.wait(lock, [&] { return !collecting_; });
    adding_++;
  }
  auto result = network_.add(list, attachment, std::move(first), told);
  std::lock_guard lock(mutex_);
  adding_--;
  return result;
}

Result<bool> Networks::collect(const std::function<std::vector<std::string>()>& valid) {
  auto list = TRY(current());
  {
    std::lock_guard lock(mutex_);
    if (adding_ > 0 || collecting_) return false;
    collecting_ = true;
  }
  std::vector<std::pair<std::string, std::string>> attachments;
  for (auto& id : valid()) attachments.emplace_back(std::move(id), cni::kIfName);
  auto done = gc_network_.gc(*list, attachments);
  {
    std::lock_guard lock(mutex_);
    collecting_ = false;
  }
  collected_.notify_all();
  TRY(std::move(done));
  return true;
}

Result<> Networks::del(const state::SandboxRecord& record, bool netns_there) {
  if (!record.network.added) return {};
  auto list = TRY(cni::parse_network(record.network.config, record.network.source));
  auto attachment = TRY(this->attachment(record.id, record.spec, netns_there ? record.netns_path : ""));
  return network_.del(list, attachment, record.network.result);
}

Condition Networks::health(std::chrono::milliseconds patience, const std::function<void()>& wake) {
  auto now = load();
  if (!now) return {.ok = false, .reason = kNotReady, .message = now.error().text()};
  auto judged = [&] { return health_fingerprint_ == now->fingerprint; };
  {
    std::lock_guard lock(mutex_);
    if (judged()) return health_;
  }
  wake();
  std::unique_lock lock(mutex_);
  if (judged_.wait_for(lock, patience, judged)) return health_;
  return {.ok = false, .reason = kNotReady, .message = "the plugins of " + now->list->source + " are being asked"};
}

bool Networks::refresh() {
  auto now = load();
  bool refused = false;
  Condition verdict{.ok = true, .reason = "", .message = ""};
  if (!now) {
    verdict = {.ok = false, .reason = kNotReady, .message = now.error().text()};
  } else if (auto status = network_.status(*now->list); !status) {
    verdict = {.ok = false, .reason = kNotReady, .message = status.error().text()};
    refused = true;
  }
  std::lock_guard lock(mutex_);
  const bool told = !health_.ok && health_.message == verdict.message;
  health_ = std::move(verdict);
  health_fingerprint_ = now ? now->fingerprint : "";
  judged_.notify_all();
  return !refused || told;
}

Result<> Networks::set_pod_cidr(const std::string& cidr) {
  if (cidr.empty()) return {};
  const auto cidrs = TRY(cni::parse_pod_cidrs(cidr));
  std::lock_guard one(setting_);
  TRY_IN(render(cidrs), "set the Pod CIDR to " + cidr);
  // Plugins that take it by the capability ipRanges get the first one.
  const std::string first = cidrs.front().str();
  {
    std::lock_guard lock(mutex_);
    if (pod_cidr_ == first) return {};
  }
  TRY(sys::write_file_atomic(pod_cidr_file_, first + "\n"));
  std::lock_guard lock(mutex_);
  pod_cidr_ = first;
  return {};
}

// A file that was made from the template says so by its name: any other one is somebody's, and stays in force.
Result<> Networks::render(const std::vector<Cidr>& cidrs) const {
  const std::string source = dir_ + kTemplate, target = dir_ + kRendered;
  auto text = sys::read_file(source);
  if (!text && (text.error().is(ENOENT) || text.error().is(ENOTDIR))) return {};
  if (!text) return fail(std::move(text).error());
  const auto config = TRY(cni::render_template(*text, cidrs, source));
  auto in_force = cni::load_network(dir_);
  if (in_force && in_force->source != target) {
    log::info("CNI template not used", {{"template", source}, {"in-force", in_force->source}});
    return {};
  }
  if (!in_force && in_force.error().kind != ErrorKind::not_found && !sys::exists(target))
    return fail(std::move(in_force).error());
  if (sys::read_file(target).value_or("") == config) return {};
  TRY(sys::write_file_atomic(target, config));
  log::info("CNI configuration made", {{"template", source}, {"file", target}});
  return {};
}

}  // namespace podshim::lifecycle

#include "shim/options.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "common/sys/file.h"
#include "common/yaml.h"
#include "shim/cri/version.h"
#include "shim/image/registries.h"

namespace podshim {
namespace {

constexpr char kDefaultConfigFile[] = "/etc/podshim/config.yaml";

struct Flags {
  std::string config, socket, root, state, cni_conf_dir, registries, nri_socket, log_level, creds, timeline,
      output = "text";
  std::vector<std::string> cni_bin_dirs, archives, images;
};

struct Parsed {
  Flags flags;
  Verb verb = Verb::serve;
};

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

void add_flags(CLI::App& app, Flags& f) {
  app.add_option("--config", f.config, "configuration file (default " + std::string(kDefaultConfigFile) + ")");
  app.add_option("--socket", f.socket, "socket of the daemon (default /run/podshim/podshim.sock)");
  app.add_option("--root", f.root, "what survives a reboot (default /var/lib/podshim)");
  app.add_option("--state", f.state, "what does not (default /run/podshim)");
  app.add_option("--cni-conf-dir", f.cni_conf_dir, "directory of the CNI configuration (default /etc/cni/net.d)");
  app.add_option("--cni-bin-dir", f.cni_bin_dirs, "directory of CNI plugins; may be given again (default /opt/cni/bin)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--registries", f.registries, "registries.yaml (default /etc/podshim/registries.yaml)");
  app.add_option("--nri-socket", f.nri_socket, "socket for NRI plugins (not supported yet)");
  app.add_option("--log-level", f.log_level, "debug, info, warn or error (default info)")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
}

void add_commands(CLI::App& app, Parsed& p) {
  const auto listing = [&p](CLI::App* command) {
    command->add_option("--output,-o", p.flags.output, "text or json")->check(CLI::IsMember({"text", "json"}));
  };
  const auto verb = [&p](CLI::App* command, Verb v) {
    command->fallthrough();  // --socket and --config may follow the command
    command->callback([&p, v] { p.verb = v; });
  };
  auto* image = app.add_subcommand("image", "images of the running daemon");
  image->fallthrough();
  image->require_subcommand(1);
  auto* import = image->add_subcommand("import", "add the images of docker-archives and OCI layouts");
  import->add_option("file", p.flags.archives, "archive or OCI layout directory")->required();
  listing(import);
  verb(import, Verb::image_import);
  auto* list = image->add_subcommand("ls", "list images");
  listing(list);
  verb(list, Verb::image_list);
  auto* pull = image->add_subcommand("pull", "pull an image from its registry");
  pull->add_option("image", p.flags.images, "tag or digest")->required()->expected(1);
  pull->add_option("--creds", p.flags.creds, "USER:PASSWORD for the registry");
  listing(pull);
  verb(pull, Verb::image_pull);
  auto* remove = image->add_subcommand("rm", "remove images");
  remove->add_option("image", p.flags.images, "tag, digest or id")->required();
  verb(remove, Verb::image_remove);
  auto* status = app.add_subcommand("status", "state of the running daemon");
  status->add_option("--timeline", p.flags.timeline,
                     "a Pod's start stage by stage: its id, the beginning of it, or namespace/name");
  listing(status);
  verb(status, Verb::status);
  auto* doctor = app.add_subcommand("doctor", "look at what podshim needs of this host");
  listing(doctor);
  verb(doctor, Verb::doctor);
  verb(app.add_subcommand("cni-config", "print a CNI configuration for this node"), Verb::cni_config);
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}

// Whether the file sets a key, for "origin". The file was checked before.
class FileKeys {
 public:
  explicit FileKeys(const std::string& path) {
    const auto text = sys::read_file(path);
    if (!text) return;
    auto documents = yaml::parse_all(*text, path);
    if (documents && !documents->empty()) document_ = std::move(documents->front());
  }
  bool has(const std::string& section, const std::string& key) const {
    const json::Value* at = section.empty() ? &document_ : document_.find(section);
    return at != nullptr && at->find(key) != nullptr;
  }

 private:
  json::Value document_;
};

// Puts the flags over the file, and lists what is in force.
void merge(const Flags& f, const FileKeys& file, Options* out) {
  auto& c = out->config.podshim;
  const auto note = [&](const std::string& section, const std::string& key, std::string value, bool flag) {
    out->settings.push_back({key, std::move(value), flag ? "flag" : file.has(section, key) ? "file" : "default"});
  };
  const auto path = [&](const char* key, const std::string& flag, std::string* value) {
    if (!flag.empty()) *value = absolute(flag);
    note("podshim", key, *value, !flag.empty());
  };
  path("socket", f.socket, &c.socket);
  path("root", f.root, &c.root);
  path("state", f.state, &c.state);
  path("cni-conf-dir", f.cni_conf_dir, &c.cni_conf_dir);
  if (!f.cni_bin_dirs.empty()) {
    c.cni_bin_dirs.clear();
    for (const auto& dir : f.cni_bin_dirs) c.cni_bin_dirs.push_back(absolute(dir));
  }
  note("podshim", "cni-bin-dirs", join(c.cni_bin_dirs), !f.cni_bin_dirs.empty());
  path("registries", f.registries, &c.registries);
  if (!f.log_level.empty()) c.log_level = f.log_level;
  note("podshim", "log-level", c.log_level, !f.log_level.empty());
  note("podshim", "cgroup-driver", c.cgroup_driver, false);
  note("podshim", "cgroup-parent", c.cgroup_parent, false);
  note("podshim", "pids-limit", std::to_string(c.pids_limit), false);
  note("podshim", "cni-timeout-seconds", std::to_string(c.cni_timeout.count()), false);
  note("podshim", "streaming", c.streaming.address + " port " + std::to_string(c.streaming.port), false);
  note("", "cluster-cidr", out->config.cluster_cidr.str(), false);
}

std::expected<Options, EarlyExit> finish(const Parsed& p) {
  if (!p.flags.nri_socket.empty())
    return std::unexpected(EarlyExit{kExitUsage, "", "podshim: --nri-socket: NRI is not supported yet\n"});
  if (!p.flags.creds.empty() && p.flags.creds.find(':') == std::string::npos)
    return std::unexpected(EarlyExit{kExitUsage, "", "podshim: --creds: is not USER:PASSWORD\n"});
  Options out{.verb = p.verb, .timeline = p.flags.timeline, .creds = p.flags.creds, .json = p.flags.output == "json"};
  const std::string file = p.flags.config.empty() ? kDefaultConfigFile : p.flags.config;
  auto config = load_config(file, !p.flags.config.empty());
  if (!config) return std::unexpected(EarlyExit{kExitUsage, "", "podshim: " + config.error().text() + "\n"});
  out.config = *std::move(config);
  if (sys::exists(file)) out.config_file = file;
  merge(p.flags, FileKeys(file), &out);
  if (p.verb == Verb::serve) {
    auto registries = image::load_registries(out.config.podshim.registries, !p.flags.registries.empty());
    if (!registries) return std::unexpected(EarlyExit{kExitUsage, "", "podshim: " + registries.error().text() + "\n"});
    out.registries = std::make_shared<const image::Registries>(*std::move(registries));
  }
  for (const auto& archive : p.flags.archives) out.operands.push_back(absolute(archive));
  out.operands.insert(out.operands.end(), p.flags.images.begin(), p.flags.images.end());
  return out;
}

}  // namespace

std::expected<Options, EarlyExit> parse_options(std::vector<std::string> arguments) {
  Parsed p;
  CLI::App app("podshim: a CRI runtime. Without a command it is the daemon.", "podshim");
  app.set_version_flag("--version", std::string("podshim ") + cri::kRuntimeVersion);
  add_flags(app, p.flags);
  add_commands(app, p);
  app.require_subcommand(0, 1);
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& e) {
    std::ostringstream out, err;
    const int code = app.exit(e, out, err);
    return std::unexpected(EarlyExit{code == 0 ? kExitDone : kExitUsage, out.str(), err.str()});
  }
  return finish(p);
}

}  // namespace podshim

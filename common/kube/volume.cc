#include "common/kube/choice.h"
#include "common/kube/pod.h"

namespace podshim::kube {
namespace {

constexpr Choice<HostPath::Type> kHostPathTypes[] = {{"", HostPath::Type::unset},
                                                     {"DirectoryOrCreate", HostPath::Type::directory_or_create},
                                                     {"Directory", HostPath::Type::directory},
                                                     {"FileOrCreate", HostPath::Type::file_or_create},
                                                     {"File", HostPath::Type::file},
                                                     {"Socket", HostPath::Type::socket},
                                                     {"CharDevice", HostPath::Type::char_device},
                                                     {"BlockDevice", HostPath::Type::block_device}};

bool has_dot_dot(std::string_view path) {
  while (!path.empty()) {
    auto slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
  return false;
}

Result<EmptyDir> decode_empty_dir(const json::Reader& r, Unknowns& unknowns) {
  EmptyDir out;
  auto medium = TRY(r.string_or("medium", ""));
  if (!medium.empty() && medium != "Memory")
    return fail(r.error("medium", "\"" + medium + "\" is none of \"\", Memory"));
  out.memory = medium == "Memory";
  if (const auto* limit = r.get("sizeLimit")) {
    auto q = Quantity::from(*limit);
    if (!q) return fail(r.error("sizeLimit", q.error().detail));
    out.size_limit = *q;
    note_unused(r, "sizeLimit", unknowns);
  }
  note_unknown(r, unknowns);
  return out;
}

Result<HostPath> decode_host_path(const json::Reader& r, Unknowns& unknowns) {
  HostPath out;
  out.path = TRY(r.string("path"));
  if (!out.path.starts_with('/')) return fail(r.error("path", "\"" + out.path + "\" is not an absolute path"));
  if (has_dot_dot(out.path)) return fail(r.error("path", "\"" + out.path + "\" holds \"..\""));
  out.type = TRY(choose(r, "type", kHostPathTypes));
  note_unknown(r, unknowns);
  return out;
}

Result<KeyFiles> decode_key_files(const json::Reader& r, bool secret, Unknowns& unknowns) {
  KeyFiles out{.secret = secret};
  out.name = TRY(r.string(secret ? "secretName" : "name"));
  out.optional = TRY(r.boolean_or("optional", false));
  out.mode = static_cast<int>(TRY(r.integer_or("defaultMode", 0644, 0, 0777)));
  for (const auto& item : TRY(r.objects("items"))) {
    auto key = TRY(item.string("key"));
    auto path = TRY(item.string("path"));
    if (path.empty() || path.starts_with('/') || has_dot_dot(path))
      return fail(item.error("path", "\"" + path + "\" is not a relative path without \"..\""));
    note_unknown(item, unknowns);
    out.items.emplace_back(std::move(key), std::move(path));
  }
  note_unknown(r, unknowns);
  return out;
}

}  // namespace

Result<Volume> decode_volume(const json::Reader& r, Unknowns& unknowns) {
  Volume out;
  out.name = TRY(r.string("name"));
  if (!is_dns_label(out.name)) return fail(r.error("name", "\"" + out.name + "\" is not a DNS label"));
  int sources = 0;
  if (auto v = TRY(r.opt_object("emptyDir"))) {
    out.source = TRY(decode_empty_dir(*v, unknowns));
    sources++;
  }
  if (auto v = TRY(r.opt_object("hostPath"))) {
    out.source = TRY(decode_host_path(*v, unknowns));
    sources++;
  }
  if (auto v = TRY(r.opt_object("configMap"))) {
    out.source = TRY(decode_key_files(*v, false, unknowns));
    sources++;
  }
  if (auto v = TRY(r.opt_object("secret"))) {
    out.source = TRY(decode_key_files(*v, true, unknowns));
    sources++;
  }
  auto rest = r.unknown();
  if (sources > 1) return fail(r.error("", "has more than one source"));
  if (sources == 0 && !rest.empty())
    return fail(r.error(rest.front()->first, "is not supported; volumes are emptyDir, hostPath, configMap or secret"));
  note_unknown(r, unknowns);
  return out;  // no source at all: an emptyDir, as the API server has it
}

}  // namespace podshim::kube

#include "shim/state/record.h"

#include "shim/state/spec_fields.h"

namespace podshim {

// Beside the types they are for, so that the codec finds them by their argument.
namespace sys {
template <typename A, Of<ProcessId> S>
void fields(A& a, S& v) {
  a("pid", v.pid);
  a("start-ticks", v.start_ticks);
}
}  // namespace sys

namespace state {

template <typename A, Of<NetworkRecord> S>
void fields(A& a, S& v) {
  a("config", v.config);
  a("source", v.source);
  a("added", v.added);
  a("result", v.result);
}
template <typename A, Of<SandboxUpdate> S>
void fields(A& a, S& v) {
  a("overhead", v.overhead);
  a("resources", v.resources);
}
template <typename A, Of<SandboxRecord> S>
void fields(A& a, S& v) {
  a("id", v.id);
  a("spec", v.spec);
  a("boot-id", v.boot_id);
  a("instance", v.instance);
  a("created-at-ns", v.created_at_ns);
  a("created", v.created);
  a("ready", v.ready);
  a("monitor", v.monitor);
  a("pause", v.pause);
  a("netns-path", v.netns_path);
  a("cgroup-parent", v.cgroup_parent);
  a("ips", v.ips);
  a("network", v.network);
  a("update", v.update);
}
template <typename A, Of<ContainerExit> S>
void fields(A& a, S& v) {
  a("code", v.code);
  a("signal", v.signal);
  a("oom-killed", v.oom_killed);
  a("finished-at-ns", v.finished_at_ns);
  a("reason", v.reason);
  a("message", v.message);
}
template <typename A, Of<ContainerRecord> S>
void fields(A& a, S& v) {
  a("id", v.id);
  a("sandbox", v.sandbox);
  a("spec", v.spec);
  a("created-at-ns", v.created_at_ns);
  a("started-at-ns", v.started_at_ns);
  a("created", v.created);
  a("image-id", v.image_id);
  a("image-reference", v.image_reference);
  a("volume-images", v.volume_images);
  a("image-process", v.image_process);
  a("log-path", v.log_path);
  a("user", v.user);
  a("process", v.process);
  a("exit", v.exit);
  a("log-lost", v.log_lost);
  a("resources", v.resources);
  a("updating", v.updating);
}

namespace {

template <typename Record>
std::string encode_record(const Record& record) {
  json::Value out = json::Value::object();
  out.set("version", kRecordVersion);
  json::Value body = to_value(record);
  for (auto& [name, value] : body.as_object()) out.set(name, std::move(value));
  return json::dump(out);
}

template <typename Record>
Result<Record> decode_record(std::string_view text) {
  json::Value value = TRY(json::parse(text));
  auto reader = TRY(json::Reader::of(value));
  TRY(reader.integer("version", 1, kRecordVersion));
  Record record = TRY(from_value<Record>(value, ""));
  if (record.id.empty()) return fail(Error::of(ErrorKind::internal, "decode record", "id", "is missing"));
  return record;
}

std::string brief(const json::Value* v) {
  if (v == nullptr) return "nothing";
  std::string text = json::dump(*v);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

std::string differ(const json::Value* was, const json::Value* is, const std::string& path) {
  if (was != nullptr && is != nullptr) {
    if (*was == *is) return {};
    if (was->is_object() && is->is_object()) {
      for (const auto& [name, value] : was->as_object())
        if (auto found = differ(&value, is->find(name), path.empty() ? name : path + "." + name); !found.empty())
          return found;
      for (const auto& [name, value] : is->as_object())
        if (was->find(name) == nullptr) return differ(nullptr, &value, path.empty() ? name : path + "." + name);
      return {};
    }
    if (was->is_array() && is->is_array()) {
      const auto &a = was->as_array(), &b = is->as_array();
      for (std::size_t i = 0; i < std::max(a.size(), b.size()); i++)
        if (auto found = differ(i < a.size() ? &a[i] : nullptr, i < b.size() ? &b[i] : nullptr,
                                path + "[" + std::to_string(i) + "]");
            !found.empty())
          return found;
      return {};
    }
  }
  return path + ": " + brief(was) + " became " + brief(is);
}

template <typename Spec>
std::string spec_difference(const Spec& was, const Spec& is) {
  if (was == is) return {};
  json::Value a = to_value(was), b = to_value(is);
  return differ(&a, &b, "");
}

}  // namespace

std::string encode(const SandboxRecord& record) { return encode_record(record); }
std::string encode(const ContainerRecord& record) { return encode_record(record); }
Result<SandboxRecord> decode_sandbox(std::string_view text) { return decode_record<SandboxRecord>(text); }

Result<ContainerRecord> decode_container(std::string_view text) {
  auto record = TRY(decode_record<ContainerRecord>(text));
  if (record.sandbox.empty()) return fail(Error::of(ErrorKind::internal, "decode record", "sandbox", "is missing"));
  return record;
}

std::string first_difference(const SandboxSpec& was, const SandboxSpec& is) { return spec_difference(was, is); }
std::string first_difference(const ContainerSpec& was, const ContainerSpec& is) { return spec_difference(was, is); }

}  // namespace state
}  // namespace podshim

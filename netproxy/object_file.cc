#include "netproxy/object_file.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "common/sys/file.h"
#include "common/yaml.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {
namespace {

constexpr std::size_t kMaxFile = 16UL << 20;
constexpr std::size_t kShare = 64;          // files that a thread takes at a time
constexpr std::size_t kWorthThreads = 512;  // fewer files are read before a thread has started

bool is_json(std::string_view name) { return name.ends_with(".json"); }

Result<json::Value> one_document(const std::string& text, const std::string& file) {
  auto documents = TRY(yaml::parse_all(text, file));
  if (documents.size() != 1)
    return fail(Error::invalid(file, "holds " + std::to_string(documents.size()) + " objects; one a file is expected"));
  return std::move(documents.front());
}

Result<> decode(const json::Value& document, const std::string& file, ObjectFile& out) {
  out.unknowns.clear();
  auto reader = TRY(json::Reader::of(document, "", file));
  auto type = TRY(kube::decode_type(reader));
  if (type.kind == "Service") {
    auto service = TRY(kube::decode_service(reader, out.unknowns));
    // Who allocates addresses has to know the policy; here the addresses say it.
    if (!service.cluster_ips.empty())
      std::erase_if(out.unknowns, [](const std::string& field) { return field.ends_with("spec.ipFamilyPolicy"); });
    strip(service);
    out.object = std::move(service);
  } else if (type.kind == "EndpointSlice") {
    auto slice = TRY(kube::decode_endpoint_slice(reader, out.unknowns));
    strip(slice);
    out.object = std::move(slice);
  } else {
    out.other_kind = type.kind;
  }
  return {};
}

// The JSON reader is fast and knows no lines. JSON is YAML too, and that reader tells where an error is.
Result<> decode_text(const std::string& text, const std::string& file, ObjectFile& out) {
  if (!is_json(file)) return decode(TRY(one_document(text, file)), file, out);
  auto document = json::parse(text);
  if (!document) {
    TRY(one_document(text, file));
    return fail(std::move(document).error().within(file));
  }
  auto done = decode(*document, file, out);
  if (done) return done;
  auto with_lines = one_document(text, file);
  return with_lines ? decode(*with_lines, file, out) : done;
}

}  // namespace

bool is_object_file(std::string_view name) {
  return !name.starts_with('.') && (is_json(name) || name.ends_with(".yaml") || name.ends_with(".yml"));
}

ObjectFile read_object_file(const std::string& path, const std::string& name) {
  ObjectFile out;
  auto file = path + "/" + name;
  auto fail_with = [&](Error e) {
    out.missing = e.is(ENOENT);
    out.error = std::move(e);
    return std::move(out);
  };
  auto fd = sys::open(file, O_RDONLY);
  if (!fd) return fail_with(std::move(fd).error());
  auto text = sys::read_all(*fd, file, kMaxFile);
  if (!text) return fail_with(std::move(text).error());
  auto done = decode_text(*text, file, out);
  if (!done) out.error = std::move(done).error();
  return out;
}

std::vector<ObjectFile> read_object_files(const std::string& path, const std::vector<std::string>& names) {
  std::vector<ObjectFile> out(names.size());
  std::atomic<std::size_t> next = 0;
  auto work = [&] {
    for (std::size_t begin; (begin = next.fetch_add(kShare)) < names.size();)
      for (auto i = begin; i < std::min(begin + kShare, names.size()); i++) out[i] = read_object_file(path, names[i]);
  };
  std::jthread helper;
  if (names.size() >= kWorthThreads && std::thread::hardware_concurrency() > 1) helper = std::jthread(work);
  work();
  if (helper.joinable()) helper.join();
  return out;
}

}  // namespace podshim::netproxy

#include "podlet/commands.h"

#include <algorithm>
#include <future>
#include <thread>

#include "common/sys/file.h"

namespace podshim::podlet {
namespace {

constexpr std::chrono::seconds kDeleteLimit{600};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}
std::string shown(const ObjectKey& key) { return lower(key.kind) + " \"" + key.name + "\""; }

std::string field(const json::Reader& r, const char* name) { return r.string_or(name, "").value_or(""); }
std::optional<std::chrono::seconds> grace_of(const json::Reader& r) {
  auto grace = r.opt_integer("grace", 0, 1'000'000);
  if (!grace || !*grace) return std::nullopt;
  return std::chrono::seconds(**grace);
}
std::string name_space_of(const json::Reader& r) { return r.string_or("namespace", "default").value_or("default"); }

// Which container `logs` and `exec` mean: the one named, the only one, or the first (kubectl's default).
Result<std::string> pick_container(const PodEntry& e, const std::string& named) {
  const auto& spec = e.record.pod.spec;
  if (named.empty()) return spec.containers.empty() ? "" : spec.containers.front().name;
  if (spec.find(named) == nullptr) {
    std::string known;
    for (const auto* list : {&spec.init_containers, &spec.containers})
      for (const auto& c : *list) known += (known.empty() ? "" : ", ") + c.name;
    return fail(Error::of(ErrorKind::not_found, "container", named, "the Pod has " + known));
  }
  return named;
}

Result<std::string> known_kind(const std::string& word) {
  auto kind = kind_of_word(word);
  if (kind.empty())
    return fail(Error::invalid(word,
                               "is no kind that podlet knows: pods, deployments, replicasets, services, endpoints, "
                               "endpointslices, configmaps, secrets"));
  return kind;
}

// KIND with a name, with several or with none ("" = all); or each as KIND/NAME, as `get -o name` prints it.
Result<std::vector<ViewRequest>> view_requests(const json::Reader& r) {
  auto word = TRY(r.string("kind"));
  auto names = TRY(r.strings("names"));
  if (auto name = field(r, "name"); names.empty() && !name.empty()) names.push_back(name);
  const auto selector = TRY(parse_selector(field(r, "selector")));
  const bool each = word.find('/') != std::string::npos;
  if (each) names.insert(names.begin(), word);
  if (names.empty()) names.emplace_back();
  std::vector<ViewRequest> out;
  for (const auto& name : names) {
    const auto slash = name.find('/');
    if (each != (slash != std::string::npos))
      return fail(Error::invalid(name, "KIND NAME... and KIND/NAME... do not go together"));
    if (each && slash + 1 == name.size()) return fail(Error::invalid(name, "names no object"));
    auto kind = TRY(known_kind(each ? name.substr(0, slash) : word));
    out.push_back({.kind = std::move(kind),
                   .name = each ? name.substr(slash + 1) : name,
                   .name_space = name_space_of(r),
                   .output = field(r, "output"),
                   .selector = selector});
  }
  return out;
}

// Of `logs` and `exec`: "web", or "pod/web".
Result<std::string> pod_name(const json::Reader& r) {
  auto name = field(r, "name");
  const auto slash = name.find('/');
  if (slash == std::string::npos) return name;
  if (kind_of_word(name.substr(0, slash)) != "Pod") return fail(Error::invalid(name, "is no Pod"));
  return name.substr(slash + 1);
}

}  // namespace

json::Value answer_ok(std::string output) {
  json::Value out;
  return out.set("exit", 0).set("output", std::move(output));
}

json::Value answer_error(const std::string& why, int code, std::string output) {
  json::Value out;
  return out.set("exit", code).set("output", std::move(output)).set("error", why);
}

json::Value Commands::on_loop(std::function<json::Value()> work) {
  auto promise = std::make_shared<std::promise<json::Value>>();
  auto future = promise->get_future();
  node_.post([promise, work = std::move(work)] { promise->set_value(work()); });
  return future.get();  // without a limit: `work` may hold references into our caller
}

json::Value Commands::handle(const json::Value& request) {
  auto reader = json::Reader::of(request);
  if (!reader) return answer_error(reader.error().text(), 2);
  auto verb = field(*reader, "verb");
  if (verb == "get") return get(*reader);
  if (verb == "describe") return describe(*reader);
  if (verb == "apply") return apply(*reader);
  if (verb == "delete" && reader->has("text")) return delete_text(*reader);
  if (verb == "delete" && reader->boolean_or("all", false).value_or(false)) return delete_all(*reader);
  if (verb == "delete") return delete_named(*reader);
  if (verb == "logs") return logs(*reader);
  if (verb == "exec") return exec(*reader);
  if (verb == "events" && field(*reader, "output") == "name") return answer_error("events have no names here", 2);
  if (verb == "events")
    return on_loop([&] { return answer_ok(events_view(node_, name_space_of(*reader), field(*reader, "output"))); });
  if (verb == "status") return status();
  return answer_error("unknown verb " + verb, 2);
}

json::Value Commands::get(const json::Reader& r) {
  auto requests = view_requests(r);
  if (!requests) return answer_error(requests.error().text(), 2);
  if (requests->size() > 1) return answer_error("get takes one object, or all of a kind", 2);
  return on_loop([&] {
    auto text = get_view(node_, requests->front());
    return text ? answer_ok(*std::move(text)) : answer_error(text.error().text());
  });
}

json::Value Commands::describe(const json::Reader& r) {
  auto requests = view_requests(r);
  if (!requests) return answer_error(requests.error().text(), 2);
  return on_loop([&] {
    std::string output, errors;
    for (const auto& request : *requests) {
      auto text = describe_view(node_, request);
      if (text) output += (output.empty() ? "" : "\n\n") + *text;
      if (!text) errors += (errors.empty() ? "" : "\n") + text.error().text();
    }
    return errors.empty() ? answer_ok(output) : answer_error(errors, 1, output);
  });
}

json::Value Commands::apply(const json::Reader& r) {
  auto manifest = decode_manifest(field(r, "text"), field(r, "file"), field(r, "namespace"));
  return on_loop([&] {
    std::string output;
    bool failed = false;
    for (const auto& w : manifest.warnings) {
      output += "warning: " + w + "\n";
      node_.event({.kind = "File", .name_space = "", .name = field(r, "file")}, true, "UnknownField", w);
    }
    for (const auto& e : manifest.errors) output += "error: " + e.text + "\n";
    failed = !manifest.errors.empty();
    std::vector<kube::Service> services;
    for (const auto& object : manifest.objects)
      if (const auto* s = std::get_if<kube::Service>(&object.value)) services.push_back(*s);
    auto refused = services.empty() ? std::map<std::string, std::string>() : node_.refusals(services);
    for (const auto& object : manifest.objects) {
      auto before = node_.objects().find(object.key);
      const char* what = before == node_.objects().end()          ? "created"
                         : before->second.source == object.source ? "unchanged"
                                                                  : "configured";
      auto why =
          object.key.kind == "Service" ? refused.find(object.key.name_space + "/" + object.key.name) : refused.end();
      auto put = why == refused.end() ? node_.source().put(object)
                                      : fail(Error::invalid("Service/" + object.key.name, why->second));
      if (!put) {
        output += "error: " + put.error().text() + "\n";
        failed = true;
      } else {
        output += lower(object.key.kind) + "/" + object.key.name + " " + what + "\n";
      }
    }
    node_.rescan();
    return failed ? answer_error("not everything was applied", 1, output) : answer_ok(output);
  });
}

bool Commands::wait_gone(const std::vector<std::string>& uids, std::chrono::seconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto left = on_loop([&] {
      auto there = std::ranges::count_if(uids, [&](const auto& uid) { return node_.pods().contains(uid); });
      return json::Value().set("left", static_cast<std::int64_t>(there));
    });
    const auto* n = left.find("left");
    if (n != nullptr && n->as_integer() == 0) return true;
    if (n == nullptr || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

// What is asked of the loop for one object; "uids" of the answer are the Pods that go with it.
json::Value Commands::begin_delete(const ObjectKey& key, std::optional<std::chrono::seconds> grace) {
  return on_loop([&] {
    auto uids = json::Value::array();
    if (key.kind != "Pod") {
      auto removed = node_.source().remove(key);
      if (!removed) return answer_error(removed.error().text());
      node_.rescan();
      for (const auto& p : node_.owned(key.text())) {
        uids.push(p.uid);
        if (grace) node_.delete_pod(p.uid, grace, "podlet delete");  // else by what each Pod says itself
      }
      return answer_ok(shown(key) + " deleted\n").set("uids", std::move(uids));
    }
    const auto* e = node_.find_pod(key.name_space, key.name);
    auto removed = node_.source().remove(key);
    if (e == nullptr && !removed)
      return answer_error(Error::of(ErrorKind::not_found, "delete", shown(key), "there is none").text());
    if (removed) node_.rescan();
    std::string note;
    if (!removed && removed.error().kind == ErrorKind::failed_precondition)
      note = " (it is declared in a manifest and will be made again)";
    if (e != nullptr) {
      uids.push(e->record.uid);
      node_.delete_pod(e->record.uid, grace, "podlet delete");
    }
    return answer_ok(shown(key) + " deleted" + note + "\n").set("uids", std::move(uids));
  });
}

// One object, or several of "names"; all are begun before any is waited for.
json::Value Commands::delete_named(const json::Reader& r) {
  auto requests = view_requests(r);
  if (!requests) return answer_error(requests.error().text(), 2);
  std::string output, errors;
  std::vector<std::string> uids;
  for (const auto& one : *requests) {
    auto answer = begin_delete({.kind = one.kind, .name_space = one.name_space, .name = one.name}, grace_of(r));
    output += answer.find("output")->as_string();
    if (const auto* why = answer.find("error")) errors += (errors.empty() ? "" : "\n") + why->as_string();
    const auto* list = answer.find("uids");
    for (std::size_t i = 0; list != nullptr && i < list->as_array().size(); i++)
      uids.push_back(list->as_array()[i].as_string());
  }
  if (r.boolean_or("wait", true).value_or(true) && !wait_gone(uids, kDeleteLimit))
    errors += std::string(errors.empty() ? "" : "\n") + "the Pods are not gone yet";
  return errors.empty() ? answer_ok(output) : answer_error(errors, 1, output);
}

json::Value Commands::delete_text(const json::Reader& r) {
  auto manifest = decode_manifest(field(r, "text"), field(r, "file"), field(r, "namespace"));
  std::string output;
  bool failed = !manifest.errors.empty();
  for (const auto& e : manifest.errors) output += "error: " + e.text + "\n";
  for (const auto& object : manifest.objects) {
    json::Value one;
    one.set("kind", object.key.kind).set("name", object.key.name).set("namespace", object.key.name_space);
    one.set("wait", r.boolean_or("wait", true).value_or(true));
    if (auto grace = grace_of(r)) one.set("grace", static_cast<std::int64_t>(grace->count()));
    auto reader = json::Reader::of(one);
    auto answer = delete_named(*reader);
    output += answer.find("output")->as_string();
    if (const auto* why = answer.find("error")) {
      output += "error: " + why->as_string() + "\n";
      failed = true;
    }
  }
  return failed ? answer_error("not everything was deleted", 1, output) : answer_ok(output);
}

json::Value Commands::delete_all(const json::Reader& r) {
  auto answer = on_loop([&] {
    auto uids = json::Value::array();
    for (const auto& [uid, e] : node_.pods()) uids.push(uid);
    auto count = std::to_string(uids.as_array().size());
    node_.drain(grace_of(r));
    return answer_ok(count + " Pods and all Services deleted; nothing is made again before podlet starts anew\n")
        .set("uids", std::move(uids));
  });
  const auto* list = answer.find("uids");
  if (list == nullptr || !r.boolean_or("wait", true).value_or(true)) return answer;
  std::vector<std::string> uids;
  for (const auto& uid : list->as_array()) uids.push_back(uid.as_string());
  return wait_gone(uids, kDeleteLimit) ? answer : answer_error("the Pods are not gone yet");
}

// The log file's path: the command line reads it itself, so that following costs podlet nothing.
json::Value Commands::logs(const json::Reader& r) {
  auto pod = pod_name(r);
  if (!pod) return answer_error(pod.error().text(), 2);
  return on_loop([&] {
    const auto* e = node_.find_pod(name_space_of(r), *pod);
    if (e == nullptr) return answer_error("there is no Pod " + *pod);
    auto name = pick_container(*e, field(r, "container"));
    if (!name) return answer_error(name.error().text());
    const auto* seen = e->seen.newest(*name);
    bool previous = r.boolean_or("previous", false).value_or(false);
    if (seen != nullptr && previous) seen = e->seen.before(*seen);
    if (seen == nullptr)
      return answer_error("container " + *name + (previous ? " has not run before" : " has not been started yet"));
    auto path = log_directory(e->record, node_.options().facts) + "/" + log_path(*name, seen->attempt);
    return answer_ok("").set("path", path).set("running", seen->state == CriState::running).set("id", seen->id);
  });
}

json::Value Commands::exec(const json::Reader& r) {
  auto pod = pod_name(r);
  if (!pod) return answer_error(pod.error().text(), 2);
  std::string id;
  auto found = on_loop([&] {
    const auto* e = node_.find_pod(name_space_of(r), *pod);
    if (e == nullptr) return answer_error("there is no Pod " + *pod);
    auto name = pick_container(*e, field(r, "container"));
    if (!name) return answer_error(name.error().text());
    const auto* seen = e->seen.newest(*name);
    if (seen == nullptr || seen->state != CriState::running)
      return answer_error("container " + *name + " does not run");
    id = seen->id;
    return answer_ok("");
  });
  if (found.find("error") != nullptr) return found;
  auto command = r.strings("command");
  if (!command || command->empty()) return answer_error("no command is given", 2);
  auto result = node_.runtime().exec_sync(id, *command, std::chrono::seconds(0));
  if (!result) return answer_error(result.error().text());
  return answer_ok(result->out).set("stderr", result->err).set("exit", result->exit_code);
}

json::Value Commands::status() {
  return on_loop([&] {
    json::Value out = answer_ok("");
    out.set("runtime", node_.runtime_error().empty() ? "ok" : node_.runtime_error())
        .set("pods", static_cast<std::int64_t>(node_.pods().size()));
    return out;
  });
}

}  // namespace podshim::podlet

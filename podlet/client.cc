#include "podlet/client.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "common/sys/file.h"
#include "podlet/control.h"

namespace podshim::podlet {
namespace {

int fail_with(const Error& e) {
  std::fprintf(stderr, "podlet: %s\n", e.text().c_str());
  return e.kind == ErrorKind::invalid_argument ? 2 : 1;
}

std::string text_of(const json::Value& answer, const char* name) {
  const auto* v = answer.find(name);
  return v != nullptr && v->is_string() ? v->as_string() : "";
}

int print_answer(const json::Value& answer) {
  auto output = text_of(answer, "output");
  std::fwrite(output.data(), 1, output.size(), stdout);
  auto err = text_of(answer, "stderr");
  std::fwrite(err.data(), 1, err.size(), stderr);
  std::fflush(stdout);
  if (auto why = text_of(answer, "error"); !why.empty()) std::fprintf(stderr, "podlet: %s\n", why.c_str());
  const auto* code = answer.find("exit");
  return code != nullptr && code->is_integer() ? static_cast<int>(code->as_integer()) : 1;
}

Result<std::vector<std::string>> manifest_files(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return fail(Error::sys("open", path));
  if (!S_ISDIR(st.st_mode)) return std::vector{path};
  std::vector<std::string> out;
  for (const auto& name : TRY(sys::list_dir(path)))
    if (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json")) out.push_back(path + "/" + name);
  if (out.empty()) return fail(Error::of(ErrorKind::not_found, "apply", path, "no .yaml, .yml or .json file is there"));
  return out;
}

// The last `tail` lines begin here.
std::size_t tail_begin(const std::string& text, long tail) {
  if (tail < 0) return 0;
  std::size_t at = text.size();
  if (tail == 0) return at;
  if (at > 0 && text[at - 1] == '\n') at--;
  for (; at > 0; at--)
    if (text[at - 1] == '\n' && --tail == 0) return at;
  return 0;
}

void print_lines(std::string& pending, bool timestamps) {
  std::size_t begin = 0;
  for (;;) {
    auto end = pending.find('\n', begin);
    if (end == std::string::npos) break;
    auto line = parse_log_line(std::string_view(pending).substr(begin, end - begin));
    if (timestamps && !line.time.empty()) line.text.insert(0, line.time + " ");
    if (line.complete) line.text += '\n';
    std::fwrite(line.text.data(), 1, line.text.size(), stdout);
    begin = end + 1;
  }
  pending.erase(0, begin);
  std::fflush(stdout);
}

json::Value log_question(const LogRequest& r) {
  json::Value out;
  return out.set("verb", "logs")
      .set("name", r.pod)
      .set("container", r.container)
      .set("namespace", r.name_space)
      .set("previous", r.previous);
}

}  // namespace

LogLine parse_log_line(std::string_view line) {
  auto first = line.find(' ');
  auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  auto third = second == std::string_view::npos ? second : line.find(' ', second + 1);
  if (third == std::string_view::npos) return {.text = std::string(line)};
  auto tag = line.substr(second + 1, third - second - 1);
  return {.time = std::string(line.substr(0, first)),
          .text = std::string(line.substr(third + 1)),
          .to_stderr = line.substr(first + 1, second - first - 1) == "stderr",
          .complete = !tag.starts_with('P')};
}

int ask_and_print(const std::string& state, const json::Value& request) {
  auto answer = ask(socket_path(state), request);
  return answer ? print_answer(*answer) : fail_with(answer.error());
}

int send_manifests(const std::string& state, const FileRequest& r) {
  auto files = r.path == "-" ? Result<std::vector<std::string>>(std::vector<std::string>{"-"}) : manifest_files(r.path);
  if (!files) return fail_with(files.error());
  int code = 0;
  for (const auto& file : *files) {
    auto text = file == "-" ? sys::read_all(Fd(::dup(0)), "standard input") : sys::read_file(file);
    if (!text) return fail_with(text.error());
    json::Value request;
    request.set("verb", r.remove ? "delete" : "apply")
        .set("file", file == "-" ? "standard input" : file)
        .set("text", *text)
        .set("namespace", r.name_space)
        .set("wait", r.wait);
    if (r.grace >= 0) request.set("grace", r.grace);
    if (int one = ask_and_print(state, request); one != 0) code = one;
  }
  return code;
}

int print_logs(const std::string& state, const LogRequest& r) {
  auto answer = ask(socket_path(state), log_question(r));
  if (!answer) return fail_with(answer.error());
  if (!text_of(*answer, "error").empty()) return print_answer(*answer);
  auto path = text_of(*answer, "path");
  auto fd = sys::open(path, O_RDONLY);
  if (!fd) return fail_with(fd.error());
  auto pending = sys::read_all(*fd, path, 1UL << 30);
  if (!pending) return fail_with(pending.error());
  std::string text = pending->substr(tail_begin(*pending, r.tail));
  print_lines(text, r.timestamps);
  while (r.follow) {
    // Whether it still runs is asked before the read, so that the last lines are not missed.
    auto now = ask(socket_path(state), log_question(r));
    const auto* running = now ? now->find("running") : nullptr;
    bool goes_on = running != nullptr && running->is_bool() && running->as_bool() && text_of(*now, "path") == path;
    auto more = sys::read_all(*fd, path, 1UL << 30);
    if (!more) return fail_with(more.error());
    text += *more;
    print_lines(text, r.timestamps);
    if (!goes_on) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return 0;
}

int wait_for(const std::string& state, const WaitRequest& r) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(r.seconds);
  json::Value request;
  request.set("verb", "get")
      .set("kind", r.kind)
      .set("name", r.name)
      .set("namespace", r.name_space)
      .set("output", "json");
  for (;;) {
    auto answer = ask(socket_path(state), request);
    if (!answer) return fail_with(answer.error());
    // What no waiting can change: a kind that podlet does not know.
    if (const auto* code = answer->find("exit"); code != nullptr && code->is_integer() && code->as_integer() == 2)
      return print_answer(*answer);
    auto object = json::parse(text_of(*answer, "output"));
    bool there = object && object->find("kind") != nullptr;
    if (r.condition == "delete" && !there) return 0;
    if (r.condition == "ready" && there) {
      const auto* status = object->find("status");
      const auto* conditions = status == nullptr ? nullptr : status->find("conditions");
      for (std::size_t i = 0; conditions != nullptr && i < conditions->as_array().size(); i++) {
        const auto& c = conditions->as_array()[i];
        auto type = text_of(c, "type");
        if ((type == "Ready" || type == "Available") && text_of(c, "status") == "True") return 0;
      }
    }
    if (std::chrono::steady_clock::now() >= end) {
      const std::string what = r.name.empty() ? r.kind : r.kind + " " + r.name;
      std::fprintf(stderr, "podlet: %s: not %s within %d s\n", what.c_str(), r.condition.c_str(), r.seconds);
      return 1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace podshim::podlet

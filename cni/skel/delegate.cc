#include "cni/skel/delegate.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "common/sys/file.h"
#include "common/sys/retry.h"

namespace podshim::cni {
namespace {

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(Error::sys("pipe", ""));
  return Pipe{.read = Fd(fds[0]), .write = Fd(fds[1])};
}

std::vector<std::string> environment_for(Command command) {
  std::vector<std::string> out;
  for (char** e = environ; *e != nullptr; e++)
    if (!std::string_view(*e).starts_with("CNI_COMMAND=")) out.emplace_back(*e);
  out.push_back("CNI_COMMAND=" + std::string(name_of(command)));
  return out;
}

Result<pid_t> spawn(const std::string& program, Command command, const Pipe& in, const Pipe& out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  auto texts = environment_for(command);
  std::vector<char*> env;
  for (auto& t : texts) env.push_back(t.data());
  env.push_back(nullptr);
  std::string name = program;
  std::array<char*, 2> argv = {name.data(), nullptr};
  pid_t pid = 0;
  int err = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  if (err != 0) return fail(Error::sys("spawn", program, {}, err));
  return pid;
}

Error refusal(const std::string& program, int status, const std::string& output) {
  std::string why = WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                                        : "exit status " + std::to_string(WEXITSTATUS(status));
  if (auto json = json::parse(output)) {
    const auto* code = json->find("code");
    const auto* msg = json->find("msg");
    const auto* details = json->find("details");
    if (code != nullptr && code->is_integer()) why = "code " + std::to_string(code->as_integer());
    if (msg != nullptr && msg->is_string()) why += ": " + msg->as_string();
    if (details != nullptr && details->is_string() && !details->as_string().empty()) why += ": " + details->as_string();
  } else if (!output.empty()) {
    why += ", printed: " + output.substr(0, 200);
  }
  return Error::of(ErrorKind::unavailable, "run plugin", program, why);
}

}  // namespace

Result<std::string> find_plugin(const Request& request, const std::string& type) {
  if (type.empty() || type.find('/') != std::string::npos)
    return fail(Error::invalid("ipam.type", "\"" + type + "\" is not a plugin's name"));
  std::string looked;
  for (const auto& dir : request.path) {
    std::string file = dir + "/" + type;
    if (::access(file.c_str(), X_OK) == 0) return file;
    looked += (looked.empty() ? "" : ":") + dir;
  }
  return fail(Error::of(ErrorKind::unavailable, "find plugin", type, "not in CNI_PATH " + looked));
}

Result<std::string> run_plugin(const std::string& program, const Request& request, Command command) {
  auto in = TRY(make_pipe());
  auto out = TRY(make_pipe());
  pid_t pid = TRY(spawn(program, command, in, out));
  in.read.reset();
  out.write.reset();
  // EPIPE: it ended without reading; its exit status says more.
  auto sent = sys::write_all(in.write, request.text, program);
  in.write.reset();
  auto output = sys::read_all(out.read, program);
  out.read.reset();
  int status = 0;
  if (sys::retry([&] { return ::waitpid(pid, &status, 0); }) < 0) return fail(Error::sys("wait", program));
  if (status != 0) return fail(refusal(program, status, output.value_or("")));
  TRY(sent);
  return output;
}

bool carries_note(const std::string& program, std::string_view note) {
  auto fd = sys::open(program, O_RDONLY);
  if (!fd) return false;
  std::array<char, 4096> page;
  ssize_t n = sys::retry([&] { return ::pread(fd->get(), page.data(), page.size(), 0); });
  return n > 0 && std::string_view(page.data(), static_cast<std::size_t>(n)).find(note) != std::string_view::npos;
}

}  // namespace podshim::cni

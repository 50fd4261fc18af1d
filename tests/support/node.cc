#include "tests/support/node.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include "common/ids.h"
#include "common/sys/file.h"

namespace podshim::test {
namespace {

using Clock = std::chrono::steady_clock;

// Forks, enters `netns`, and runs argv with the given outputs. Tests have few threads and this child only execs.
pid_t start(const std::vector<std::string>& argv, int netns, int out, int err) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::setpgid(0, 0);
  if (netns >= 0 && ::setns(netns, CLONE_NEWNET) != 0) ::_exit(126);
  int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::close_range(3, ~0U, 0);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

int wait_code(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool wait_end(pid_t pid, std::chrono::milliseconds limit) {
  auto end = Clock::now() + limit;
  while (Clock::now() < end) {
    if (::waitpid(pid, nullptr, WNOHANG) == pid) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const char* const kNodeSetup =
    "ip link set lo up && ip link add uplink type veth peer name uplink-peer && ip addr add 198.51.100.2/24 dev uplink "
    "&& "
    "ip link set uplink up && ip link set uplink-peer up && ip route add default via 198.51.100.1";

}  // namespace

std::string program(const std::string& name) {
  const char* dir = std::getenv("PODSHIM_BIN");
  return (dir != nullptr ? std::string(dir) : std::string(PODSHIM_BUILD_DIR) + "/bin") + "/" + name;
}

std::string plugin_dir() {
  const char* dir = std::getenv("PODSHIM_CNI");
  return dir != nullptr ? dir : PODSHIM_BUILD_DIR "/cni";
}

int slowness() {
  const char* factor = std::getenv("PODSHIM_SLOW");
  return factor != nullptr ? std::max(1, std::atoi(factor)) : 1;
}

std::string image_archive(const std::string& file) {
  const char* dir = std::getenv("PODSHIM_IMAGES");
  return (dir != nullptr ? std::string(dir) : std::string(PODSHIM_SOURCE_DIR) + "/build/images") + "/" + file;
}

std::string find_tool(const std::string& name) {
  std::string variable = name;
  std::transform(variable.begin(), variable.end(), variable.begin(), ::toupper);
  if (const char* path = std::getenv(variable.c_str())) return path;
  std::stringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "/usr/bin:/bin");
  for (std::string dir; std::getline(path, dir, ':');)
    if (::access((dir + "/" + name).c_str(), X_OK) == 0) return dir + "/" + name;
  return "";
}

Node::Node(Options options) : options_(std::move(options)), name_("n" + random_hex(4)) {
  char temporary[] = "/tmp/podshim-e2e.XXXXXX";
  dir_ = ::mkdtemp(temporary);
  ::chmod(dir_.c_str(), 0755);
  if (options_.network_namespace) {
    // A child makes the namespace and waits; the fd keeps it when the child has gone.
    int ready[2], go[2];
    if (::pipe2(ready, O_CLOEXEC) != 0 || ::pipe2(go, O_CLOEXEC) != 0) std::abort();
    holder_ = ::fork();
    if (holder_ == 0) {
      char byte = ::unshare(CLONE_NEWNET) == 0 ? '1' : '0';
      [[maybe_unused]] auto n = ::write(ready[1], &byte, 1);
      ::close(go[1]);
      n = ::read(go[0], &byte, 1);
      ::_exit(0);
    }
    char byte = 0;
    if (::read(ready[0], &byte, 1) != 1 || byte != '1') std::abort();
    netns_ = Fd(::open(("/proc/" + std::to_string(holder_) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    for (int fd : {ready[0], ready[1], go[0], go[1]}) ::close(fd);
    wait_code(holder_);
    run({"sh", "-c", kNodeSetup});
  }
  std::ofstream(config_file()) << "podshim:\n  root: " << dir_ << "/root\n  state: " << dir_
                               << "/state\n  socket: " << socket() << "\n  cni-conf-dir: " << dir_
                               << "/net.d\n  cni-bin-dirs: ["
                               << (options_.cni_bin_dir.empty() ? plugin_dir() : options_.cni_bin_dir)
                               << "]\n  cgroup-parent: " << cgroup_parent() << "\n  registries: " << dir_
                               << "/registries.yaml\n"
                               << options_.config;
  ::mkdir((dir_ + "/net.d").c_str(), 0755);
}

Node::~Node() {
  while (!background_.empty()) stop(background_.begin()->first, SIGTERM);
  if (daemon_ > 0) stop_daemon(SIGTERM);
  // What a failed test left: monitors first (their containers die with them), then names.
  auto inst = instance();
  for (const auto& item : leaks_now())
    if (item.starts_with("process ")) ::kill(std::atoi(item.c_str() + 8), SIGKILL);
  if (!inst.empty()) {
    auto names = sys::list_dir("/run/netns");
    for (const auto& name : names ? *names : std::vector<std::string>{}) {
      if (!name.starts_with("podshim-" + inst)) continue;
      ::umount2(("/run/netns/" + name).c_str(), MNT_DETACH);
      ::unlink(("/run/netns/" + name).c_str());
    }
  }
  run({"sh", "-c",
       "for d in $(find /sys/fs/cgroup -depth -type d -path '*/podshim-test/" + name_ +
           "*' 2>/dev/null); do rmdir $d 2>/dev/null; done; "
           "for d in $(find /sys/fs/cgroup -maxdepth 3 -type d -name podshim-test 2>/dev/null); do rmdir $d "
           "2>/dev/null; done; true"});
  if (std::getenv("PODSHIM_KEEP") == nullptr) (void)sys::remove_tree(dir_);
}

std::string Node::netns_path() const { return "/proc/self/fd/" + std::to_string(netns_.get()); }
std::string Node::log() const { return slurp(dir_ + "/podshim.log"); }

std::string Node::instance() const {
  auto text = slurp(dir_ + "/root/instance");
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

std::string Node::ruleset() const { return run({"nft", "--stateless", "list", "ruleset"}).out; }

bool Node::start_daemon() {
  if (options_.conflist.empty()) {
    auto printed = run({program("podshim"), "--config", config_file(), "cni-config"});
    if (printed.exit_code != 0) return false;
    options_.conflist = printed.out;
  }
  std::ofstream(dir_ + "/net.d/10-podshim.conflist") << options_.conflist;
  int log = ::open((dir_ + "/podshim.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  daemon_ =
      start({program("podshim"), "--config", config_file(), "--log-level", options_.log_level}, netns_.get(), log, log);
  ::close(log);
  client_ = std::make_unique<CriClient>(socket());
  const auto end = Clock::now() + std::chrono::seconds(20) * slowness();
  while (Clock::now() < end)
    if (client_->wait_ready(std::chrono::milliseconds(200))) {
      return true;
    } else if (siginfo_t info{}; ::waitid(P_PID, static_cast<id_t>(daemon_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                                 info.si_pid == daemon_) {
      return false;
    }
  return false;
}

void Node::stop_daemon(int signal) {
  if (daemon_ <= 0) return;
  ::kill(daemon_, signal);
  if (!wait_end(daemon_, std::chrono::seconds(15))) {
    ::kill(daemon_, SIGKILL);
    wait_code(daemon_);
  }
  daemon_ = -1;
}

bool Node::daemon_has_ended() const {
  const auto end = Clock::now() + std::chrono::milliseconds(200) * slowness();
  for (siginfo_t info{}; Clock::now() < end; std::this_thread::sleep_for(std::chrono::milliseconds(1)))
    if (::waitid(P_PID, static_cast<id_t>(daemon_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == daemon_)
      return true;
  return false;
}

Output Node::import_image(const std::string& archive) {
  return run({program("podshim"), "--config", config_file(), "image", "import", archive});
}

Output Node::run(const std::vector<std::string>& argv, std::chrono::seconds limit) const {
  Output output;
  int pipes[2][2];
  if (::pipe2(pipes[0], O_CLOEXEC) != 0 || ::pipe2(pipes[1], O_CLOEXEC) != 0) std::abort();
  pid_t pid = start(argv, netns_.get(), pipes[0][1], pipes[1][1]);
  ::close(pipes[0][1]);
  ::close(pipes[1][1]);
  auto end = Clock::now() + limit * slowness();
  pollfd fds[2] = {{pipes[0][0], POLLIN, 0}, {pipes[1][0], POLLIN, 0}};
  std::string* texts[2] = {&output.out, &output.err};
  int open_count = 2;
  while (open_count > 0) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0 || ::poll(fds, 2, static_cast<int>(left)) == 0) {
      ::kill(-pid, SIGKILL);
      output.err += "\n(killed: still running after its limit)";
      break;
    }
    for (int i = 0; i < 2; i++) {
      if (fds[i].revents == 0) continue;
      char buffer[16384];
      ssize_t n = ::read(fds[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        texts[i]->append(buffer, static_cast<std::size_t>(n));
      } else {
        fds[i].fd = -1;
        open_count--;
      }
    }
  }
  ::close(pipes[0][0]);
  ::close(pipes[1][0]);
  output.exit_code = wait_code(pid);
  return output;
}

pid_t Node::spawn(const std::string& name, const std::vector<std::string>& argv) {
  int log = ::open((dir_ + "/" + name + ".log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  pid_t pid = start(argv, netns_.get(), log, log);
  ::close(log);
  background_[pid] = name;
  return pid;
}

void Node::stop(pid_t pid, int signal) {
  if (background_.erase(pid) == 0) return;
  ::kill(pid, signal);
  if (wait_end(pid, std::chrono::seconds(10))) return;
  ::kill(pid, SIGKILL);
  wait_code(pid);
}

std::vector<std::string> Node::leaks_now() const {
  std::vector<std::string> found;
  auto inst = instance();
  std::string mine = inst.empty() ? dir_ : "podshim-" + inst;
  auto netns = sys::list_dir("/run/netns");
  for (const auto& name : netns ? *netns : std::vector<std::string>{})
    if (name.find(mine) != std::string::npos) found.push_back("netns " + name);
  std::stringstream mounts(slurp("/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);)
    if (line.find(mine) != std::string::npos || line.find(dir_) != std::string::npos) found.push_back("mount " + line);
  auto cgroups = run({"find", "/sys/fs/cgroup", "-type", "d", "-name", mine + "*"});
  std::stringstream dirs(cgroups.out);
  for (std::string line; std::getline(dirs, line);) found.push_back("cgroup " + line);
  if (netns_) {
    auto links = run({"sh", "-c", "ip -o link | awk -F': ' '{print $2}' | sed 's/@.*//'"});
    std::stringstream names(links.out);
    for (std::string name; std::getline(names, name);)
      if (name.starts_with("veth")) found.push_back("link " + name);
    std::stringstream rules(ruleset());
    for (std::string line; std::getline(rules, line);)
      if (std::regex_search(line, std::regex("[0-9a-f]{64}"))) found.push_back("nftables " + line);
  }
  // A process is ours when its working set of namespaces or its command line says so: monitors carry the directory.
  auto pids = sys::list_dir("/proc");
  for (const auto& pid : *pids) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (std::atoi(pid.c_str()) == daemon_) continue;
    auto cmdline = slurp("/proc/" + pid + "/cmdline");
    auto cgroup = slurp("/proc/" + pid + "/cgroup");
    if (cgroup.find(cgroup_parent()) != std::string::npos ||
        (!inst.empty() && cgroup.find(mine) != std::string::npos) ||
        (cmdline.find(dir_) != std::string::npos && cmdline.find("podshim-monitor") != std::string::npos))
      found.push_back("process " + pid + " " + cmdline.c_str());
  }
  return found;
}

std::vector<std::string> Node::leaks(std::chrono::milliseconds patience) const {
  auto end = Clock::now() + patience * slowness();
  for (;;) {
    auto found = leaks_now();
    if (found.empty() || Clock::now() > end) return found;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace podshim::test

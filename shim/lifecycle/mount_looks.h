// MountLooks: how long CreateContainer and StartContainer wait for mount sources, devices and profiles on the host, and
// StartContainer for the log's directory.
//
// A look at a volume whose file server is dead waits for ever, on a thread that nothing can wake. So each container's
// looks have a thread of their own, and the caller waits `patience` (`crowded`, when many wait already: the threads of
// its lane are few); then it goes with deadline_exceeded, which names the path. Nothing has been made by then. The
// thread stays where it is, listed under the path until the kernel lets it go: further looks at that path are
// refused at once, so a client's retries cost nothing, and `silent` bounds how many such threads there can be.
// Any thread. The threads own what they use, and may outlive this.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "shim/apply/host_paths.h"

namespace podshim::lifecycle {

class MountLooks {
 public:
  static constexpr const char kMountSources[] = "mount sources";  // as the stage is called

  struct Limits {
    std::chrono::milliseconds patience{10'000}, crowded{1'000};
    std::size_t crowd = 16;    // who comes while so many wait is crowded
    std::size_t silent = 256;  // paths that do not answer, beyond which nobody looks
  };
  explicit MountLooks(Limits limits);

  // All of them, in their order, up to the first error. What they are, for the errors of those that do not answer.
  Result<> run(std::vector<MountLook> looks, const char* what = kMountSources) const;

  struct Silent {
    std::string path;
    std::chrono::milliseconds age;
  };
  std::vector<Silent> silent() const;

 private:
  struct State;
  struct Round;
  static void work(const std::shared_ptr<State>& state, const std::shared_ptr<Round>& round, const char* what,
                   const std::vector<MountLook>& looks);

  const Limits limits_;
  const std::shared_ptr<State> state_;
};

}  // namespace podshim::lifecycle

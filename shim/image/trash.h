// Trash: a directory whose content goes away in the background, so that removing an image does not wait for its files.
// What is put in by rename(2) is removed by a thread of its own after wake(); what cannot be removed stays for the next
// start and is logged. The destructor ends after the entry in work.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace podshim::image {

class Trash {
 public:
  explicit Trash(std::string dir);
  ~Trash();
  Trash(const Trash&) = delete;
  Trash& operator=(const Trash&) = delete;

  void wake();
  void wait_empty();  // for tests and for callers that need the space

 private:
  void work();
  bool empty_once();

  const std::string dir_;
  std::mutex mutex_;  // guards the flags
  std::condition_variable changed_;
  bool wanted_ = true, stopping_ = false, idle_ = false;
  std::thread thread_;
};

}  // namespace podshim::image

#include "shim/image/trash.h"

#include "common/log.h"
#include "common/sys/file.h"

namespace podshim::image {

Trash::Trash(std::string dir) : dir_(std::move(dir)), thread_([this] { work(); }) {}

Trash::~Trash() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Trash::wake() {
  std::lock_guard lock(mutex_);
  wanted_ = true;
  idle_ = false;
  changed_.notify_all();
}

void Trash::wait_empty() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return idle_; });
}

// One pass over the directory; false when asked to stop.
bool Trash::empty_once() {
  auto names = sys::list_dir(dir_);
  if (!names) {
    log::error("the image trash cannot be read", {{"error", names.error().text()}});
    return true;
  }
  for (const auto& name : *names) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return false;
    }
    if (auto r = sys::remove_tree(dir_ + "/" + name); !r) {
      log::error("left in the image trash", {{"name", name}, {"error", r.error().text()}});
    }
  }
  return true;
}

void Trash::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return wanted_ || stopping_; });
    if (stopping_) return;
    wanted_ = false;
    lock.unlock();
    bool go_on = empty_once();
    lock.lock();
    if (!go_on) return;
    if (!wanted_) {
      idle_ = true;
      changed_.notify_all();
    }
  }
}

}  // namespace podshim::image

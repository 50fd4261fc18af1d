// Scratch: a directory for the files of one import or pull, gone with it. One left by a killed daemon is swept at
// start.
#pragma once

#include <string>
#include <utility>

#include "common/ids.h"
#include "common/sys/file.h"

namespace podshim::image {

class Scratch {
 public:
  static Result<Scratch> make(const std::string& below) {
    Scratch self(below + "/" + random_hex(8));
    TRY(sys::make_dir(self.path_, 0700));
    return self;
  }
  Scratch(Scratch&& o) noexcept : path_(std::exchange(o.path_, {})) {}
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch() {
    if (!path_.empty()) (void)sys::remove_tree(path_);
  }
  const std::string& path() const { return path_; }

 private:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace podshim::image

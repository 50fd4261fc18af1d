// Instance: the identity of one --root, and the two locks that make a second daemon on the same directories fail at
// once.
//
// The id is 6 hex digits in <root>/instance, made at the first start. Names on the machine carry it, so that a sweep
// touches its own instance alone. The locks are flock(2) on <root>/lock and <state>/lock, held until the object goes;
// the files hold the owner's pid for the message.
//
// An id file that is missing or holds something else does not cost the id, because all that lives carries it: it is
// taken from <state>/instance-copy ("<id> <root>", written at each start when it differs), then from the sandboxes'
// records. With neither, nothing of this root can be alive, and a new one is made. What was in the file is
// set aside (quarantine.h, as "instance").
#pragma once

#include <string>

#include "common/fd.h"
#include "common/ids.h"
#include "common/result.h"

namespace podshim::state {

class Instance {
 public:
  // unavailable: another daemon holds one of the locks; names the directory and its pid. An id that cannot be read now
  // (EMFILE, EIO) is an error too, and so is a new one that cannot be written; a recovered one is written again at the
  // next start.
  static Result<Instance> open(const std::string& root, const std::string& state);

  const std::string& id() const { return id_; }
  const std::string& replaced() const { return replaced_; }  // why, and where the id is from; "" = from its file

  std::string prefix() const { return "podshim-" + id_ + "-"; }
  std::string netns_name(const SandboxId& sandbox) const { return prefix() + sandbox.str(); }

 private:
  Result<> replace(const std::string& root, const std::string& copy, const std::string& why);

  std::string id_, replaced_;
  Fd root_lock_, state_lock_;
};

}  // namespace podshim::state

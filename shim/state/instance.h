// Instance: the identity of one --root, and the two locks that make a second daemon on the same directories fail at
// once.
//
// The id is 6 hex digits in <root>/instance, made at the first start. Names on the machine carry it, so that a sweep
// touches its own instance alone. The locks are flock(2) on <root>/lock and <state>/lock, held until the object goes;
// the files hold the owner's pid for the message. A damaged id file is set aside and a new id is made (`replaced`):
// objects in records keep the names that stand in them.
#pragma once

#include <string>

#include "common/fd.h"
#include "common/ids.h"
#include "common/result.h"

namespace podshim::state {

class Instance {
 public:
  // unavailable: another daemon holds one of the locks; names the directory and its pid.
  static Result<Instance> open(const std::string& root, const std::string& state);

  const std::string& id() const { return id_; }
  const std::string& replaced() const { return replaced_; }  // why the old id was given up; "" = it was not

  std::string prefix() const { return "podshim-" + id_ + "-"; }
  std::string netns_name(const SandboxId& sandbox) const { return prefix() + sandbox.str(); }

 private:
  std::string id_, replaced_;
  Fd root_lock_, state_lock_;
};

}  // namespace podshim::state

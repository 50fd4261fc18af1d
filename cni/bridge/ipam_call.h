// The IPAM plugin that the configuration names: by exec, or in this process when the program that would be run is our
// own host-local with the same format of leases (the answers are the same; it saves a spawn). Nothing is left on
// failure: a delegated ADD that fails is followed by its DEL.
#pragma once

#include "cni/skel/request.h"

namespace podshim::cni::bridge {

class IpamCall {
 public:
  IpamCall(const Request& request, std::string type, std::string boot_id)
      : request_(request), type_(std::move(type)), boot_id_(std::move(boot_id)) {}

  bool configured() const { return !type_.empty(); }
  Result<AddResult> add();
  // The addresses that were held, as far as this side knows them.
  Result<std::vector<IpAddress>> del();
  Result<> check() { return run(Command::check); }
  Result<> status() { return run(Command::status); }
  Result<> gc() { return run(Command::gc); }

 private:
  // Empty = in this process.
  Result<std::string> program();
  Result<> run(Command command);

  const Request& request_;
  std::string type_;
  std::string boot_id_;
};

}  // namespace podshim::cni::bridge

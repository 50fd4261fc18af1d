// Journal: the records on disk, <root>/sandboxes/<id>/record.json and <root>/containers/<id>/record.json.
//
// Each is replaced whole by rename(2), without fsync: after a power cut the boot id has changed and every sandbox is
// NotReady anyway; a record that is empty or torn then is set aside. read_all() never fails because of one record: bad
// ones move to <root>/quarantine/<kind>-<id>.json with the reason beside them (.reason), and are told.
// Any thread, but one writer for one id at a time. write() makes the record's directory when missing.
#pragma once

#include <string>
#include <vector>

#include "shim/state/record.h"

namespace podshim::state {

struct Quarantined {
  std::string name;  // sandbox-<id> or container-<id>
  std::string reason;
  bool operator==(const Quarantined&) const = default;
};

struct Contents {
  std::vector<SandboxRecord> sandboxes;     // by creation time
  std::vector<ContainerRecord> containers;  // by creation time; the sandbox of each is in `sandboxes`
  std::vector<Quarantined> quarantined;     // set aside now and earlier
  std::vector<std::string> newly_quarantined;
};

class Journal {
 public:
  static Result<Journal> open(const std::string& root);

  Result<> write(const SandboxRecord& record) const;
  Result<> write(const ContainerRecord& record) const;
  // The whole directory of the object, the record last: a removal that was cut short is known by its record.
  Result<> remove(const SandboxId& id) const;
  Result<> remove(const ContainerId& id) const;

  // Fails when we are out of descriptors or memory: what cannot be read now must not count as bad.
  Result<Contents> read_all() const;
  // The sandboxes whose records can be read, ready ones first, then the newest: for who lost the instance id. Fails as
  // read_all(); sets nothing aside.
  Result<std::vector<SandboxRecord>> peek_sandboxes() const;

  // <root>/network-debts/<id>.json: sandboxes that are gone and whose CNI DEL is still owed.
  Result<> owe(const SandboxRecord& record) const;
  std::size_t debts() const;                // how many
  std::vector<SandboxRecord> owed() const;  // what does not parse is dropped
  Result<> settle(const SandboxId& id) const;

  std::string dir(const SandboxId& id) const { return root_ + "/sandboxes/" + id.str(); }
  std::string dir(const ContainerId& id) const { return root_ + "/containers/" + id.str(); }
  std::string sandboxes_dir() const { return root_ + "/sandboxes"; }
  std::string containers_dir() const { return root_ + "/containers"; }

 private:
  std::string debt(const SandboxId& id) const { return debts_dir() + "/" + id.str() + ".json"; }
  std::string debts_dir() const { return root_ + "/network-debts"; }
  explicit Journal(std::string root) : root_(std::move(root)) {}
  std::string root_;
};

}  // namespace podshim::state

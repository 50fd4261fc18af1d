// The desired objects: manifests in the watched directory, and what `podlet apply` put into <state>/objects. A file
// that breaks keeps what it last said (a typing error deletes no Pod), as does a single bad object; a file that goes
// takes its objects with it; if the whole directory goes, nothing changes. The first file by name wins where two say
// the same. scan() reads only files whose identity (inode, size, mtime) changed. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "podlet/manifest.h"

namespace podshim::podlet {

class ObjectSource {
 public:
  ObjectSource(std::string directory, std::string applied_directory)
      : directory_(std::move(directory)), applied_(std::move(applied_directory)) {}

  struct Report {
    bool changed = false;
    std::vector<std::string> warnings, errors;  // new since the last scan
  };
  Report scan();
  const std::map<ObjectKey, ManifestObject>& objects() const { return objects_; }

  // apply: writes the object as a file of its own. Fails with already_exists when the watched directory declares it.
  Result<> put(const ManifestObject& object);
  // Fails with failed_precondition when it is declared in the watched directory, not_found when it is nowhere.
  Result<> remove(const ObjectKey& key);
  const std::string& directory() const { return directory_; }
  // Some file, or an object in it, was never understood since the start: it may declare what seems not to be declared.
  bool incomplete() const {
    return std::ranges::any_of(files_, [](const auto& f) { return f.second.incomplete; });
  }

 private:
  struct Identity {
    std::uint64_t inode = 0, size = 0;
    std::int64_t mtime = 0;
    bool operator==(const Identity&) const = default;
  };
  struct File {
    Identity identity;
    std::map<ObjectKey, ManifestObject> objects;
    bool incomplete = false;  // says something that was never understood since the start
  };
  bool scan_directory(const std::string& path, Report& report);
  void read(const std::string& path, const std::string& shown, File& file, Report& report);
  void merge(Report& report);
  std::string applied_path(const ObjectKey& key) const;
  bool is_applied(const std::string& path) const { return path.starts_with(applied_ + "/"); }

  std::string directory_, applied_;
  std::map<std::string, File> files_;  // by full path
  std::map<ObjectKey, ManifestObject> objects_;
  std::map<ObjectKey, std::string> owners_;  // the file whose version counts
  std::string last_error_;
};

}  // namespace podshim::podlet

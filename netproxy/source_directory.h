// source_directory: Services and EndpointSlices from a directory, one object a file (.json, .yaml, .yml), as podlet
// writes them: by rename. Watched with inotify, so a change is read within milliseconds and an idle directory costs
// nothing; lost events (overflow) and a directory that was replaced, or removed and made anew, lead to a new scan,
// which is tried each second until it succeeds: while there is no directory, what it said last stays, but for the files
// whose removal was told. Nothing here holds the directory open: the kernel tells of its removal when nobody has it any
// more (IN_DELETE_SELF, inotify(7)), and would wait for us.
//
// A file that cannot be read as an object is logged with file, line and field, and the others go on; what it said
// before stays. Unknown kinds are passed over with a warning, unknown fields are named in one. Other names (hidden
// files, temporary ones) are not read. open() makes the directory when there is none. One thread.
#pragma once

#include <map>
#include <set>

#include "common/fd.h"
#include "netproxy/object_file.h"
#include "netproxy/tracker.h"

namespace podshim::netproxy {

class SourceDirectory {
 public:
  static Result<SourceDirectory> open(std::string path);

  int fd() const { return inotify_.get(); }
  // Reads the whole directory: new and changed files, and those gone since.
  Result<> scan(Tracker& tracker);
  // Reads the events that are waiting. To be called when fd() is readable, and when due() has come.
  Result<> read_events(Tracker& tracker);
  std::optional<Clock::time_point> due() const { return again_at_; }

 private:
  enum class Kind { service, slice };
  struct Object {
    Kind kind = Kind::service;
    std::string key;
    auto operator<=>(const Object&) const = default;
  };

  explicit SourceDirectory(std::string path) : path_(std::move(path)) {}
  Result<bool> watch();  // true: the path leads to another directory than before
  void load(const std::string& name, Tracker& tracker);
  void take(const std::string& name, ObjectFile file, Tracker& tracker);
  // The file now says this object; no: another file has it already.
  bool claim(const std::string& name, Object object, Tracker& tracker);
  void forget(const std::string& name, Tracker& tracker);
  void release(const Object& object, Tracker& tracker);
  void report_unknown(const std::string& name, const kube::Unknowns& unknowns);

  std::string path_;
  Fd inotify_;
  int watch_ = -1;
  std::optional<Clock::time_point> again_at_;    // what is known of the directory is old
  std::map<std::string, Object> files_;          // file -> what it says
  std::map<Object, std::string> owners_;         // and back
  std::map<std::string, Object> doubles_;        // files whose object another file has
  std::map<std::string, std::size_t> reported_;  // unknown fields: a hash of what was logged of the file
};

}  // namespace podshim::netproxy

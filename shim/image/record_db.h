// RecordDb: image records in SQLite, one JSON text per image id. Every write is one transaction, on the disk when it
// returns. A file that is no database, an empty one (SQLite would take it for a new one), one without our table and a
// damaged one are errors of kind `internal`, of open() or load(): the caller sets it aside and rebuilds from the blobs.
// One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"

struct sqlite3;

namespace podshim::image {

struct Record {
  std::string id, text;
  bool operator==(const Record&) const = default;
};

class RecordDb {
 public:
  // Puts a new one in the place of `path`, with all of these records or not at all: made beside it (<path>.new) and
  // renamed. Nobody has `path` open.
  static Result<> make(const std::string& path, const std::vector<Record>& records);
  static Result<RecordDb> open(const std::string& path);  // one that is there
  Result<std::vector<Record>> load() const;
  Result<> write(const std::vector<Record>& put, const std::vector<std::string>& remove);

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  static Result<RecordDb> open_file(const std::string& path, int flags);
  Result<> run(const char* sql) const;
  Error error(const char* op, int code) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace podshim::image

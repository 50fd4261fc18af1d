// RecordDb: image records in SQLite, one JSON text per image id. Every write is one transaction, on the disk when it
// returns. A file that is no database, or a damaged one, is an error of kind `internal`: the caller sets it aside and
// rebuilds from the blobs. One thread at a time.
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
  static Result<RecordDb> open(const std::string& path);
  Result<std::vector<Record>> load() const;
  Result<> write(const std::vector<Record>& put, const std::vector<std::string>& remove);

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  Result<> run(const char* sql) const;
  Error error(const char* op, int code) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace podshim::image

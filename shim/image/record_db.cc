#include "shim/image/record_db.h"

#include <sqlite3.h>

#include <cstdio>

#include "common/fault.h"
#include "common/sys/file.h"

namespace podshim::image {
namespace {

using Statement = std::unique_ptr<sqlite3_stmt, decltype([](sqlite3_stmt* s) { sqlite3_finalize(s); })>;

int prepare(sqlite3* db, const char* sql, Statement* out) {
  sqlite3_stmt* raw = nullptr;
  int r = sqlite3_prepare_v2(db, sql, -1, &raw, nullptr);
  out->reset(raw);
  return r;
}

std::string column(const Statement& s, int index) {
  auto* text = reinterpret_cast<const char*>(sqlite3_column_text(s.get(), index));
  return text == nullptr ? "" : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(s.get(), index)));
}

int bind(const Statement& s, int index, const std::string& text) {
  return sqlite3_bind_text(s.get(), index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

// What SQLite keeps beside a database. A journal or log of another file would be played into a new one.
Result<> remove_companions(const std::string& path) {
  for (const char* suffix : {"-journal", "-wal", "-shm"}) TRY(sys::remove_file(path + suffix));
  return {};
}

}  // namespace

void RecordDb::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Error RecordDb::error(const char* op, int code) const {
  const char* why = db_ ? sqlite3_errmsg(db_.get()) : sqlite3_errstr(code);
  Error e = Error::of(ErrorKind::internal, op, path_, why);
  int primary = code & 0xff;
  // SQLITE_ERROR: the statement does not fit the tables, and ours do not change.
  if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_ERROR) return e;
  e.kind = ErrorKind::os;
  e.code = primary == SQLITE_FULL ? ENOSPC : primary == SQLITE_BUSY ? EBUSY : EIO;
  if (int err = db_ ? sqlite3_system_errno(db_.get()) : 0; primary != SQLITE_FULL && err != 0) e.code = err;
  return e;
}

Result<> RecordDb::run(const char* sql) const {
  int r = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (r != SQLITE_OK) return fail(error("image records", r));
  return {};
}

Result<RecordDb> RecordDb::open(const std::string& path) { return open_file(path, SQLITE_OPEN_READWRITE); }

Result<RecordDb> RecordDb::open_file(const std::string& path, int flags) {
  RecordDb out;
  out.path_ = path;
  sqlite3* raw = nullptr;
  int r = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  out.db_.reset(raw);
  if (r != SQLITE_OK) return fail(out.error("open image records", r));
  // A rollback journal that stays: a removal on a full disk needs no new blocks for it. EXTRA: its end is synced too.
  TRY(out.run("PRAGMA journal_mode=PERSIST; PRAGMA synchronous=EXTRA; PRAGMA busy_timeout=5000"));
  return out;
}

Result<> RecordDb::make(const std::string& path, const std::vector<Record>& records) {
  const std::string fresh = path + ".new";
  TRY(sys::remove_file(fresh));
  TRY(remove_companions(fresh));
  {
    RecordDb db = TRY(open_file(fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    TRY(db.run("CREATE TABLE images(id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID"));
    TRY(db.write(records, {}));
  }
  TRY(remove_companions(fresh));
  TRY(remove_companions(path));
  fault_point("put records in place");
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail(Error::sys("rename", fresh, path));
  return {};
}

Result<std::vector<Record>> RecordDb::load() const {
  Statement s;
  int r = prepare(db_.get(), "SELECT id, record FROM images ORDER BY id", &s);
  std::vector<Record> out;
  while (r == SQLITE_OK || r == SQLITE_ROW) {
    r = sqlite3_step(s.get());
    if (r == SQLITE_ROW) out.push_back({column(s, 0), column(s, 1)});
  }
  if (r != SQLITE_DONE) return fail(error("read image records", r));
  return out;
}

Result<> RecordDb::write(const std::vector<Record>& put, const std::vector<std::string>& remove) {
  if (put.empty() && remove.empty()) return {};
  fault_point("begin image records");
  TRY(run("BEGIN IMMEDIATE"));
  auto result = [&]() -> Result<> {
    for (const auto& record : put) {
      Statement s;
      int r = prepare(db_.get(), "INSERT OR REPLACE INTO images(id, record) VALUES(?, ?)", &s);
      if (r == SQLITE_OK) r = bind(s, 1, record.id);
      if (r == SQLITE_OK) r = bind(s, 2, record.text);
      if (r == SQLITE_OK) r = sqlite3_step(s.get());
      if (r != SQLITE_DONE) return fail(error("write image record", r));
    }
    for (const auto& id : remove) {
      Statement s;
      int r = prepare(db_.get(), "DELETE FROM images WHERE id = ?", &s);
      if (r == SQLITE_OK) r = bind(s, 1, id);
      if (r == SQLITE_OK) r = sqlite3_step(s.get());
      if (r != SQLITE_DONE) return fail(error("remove image record", r));
    }
    fault_point("commit image records");
    return run("COMMIT");
  }();
  if (!result && sqlite3_get_autocommit(db_.get()) == 0) (void)run("ROLLBACK");
  return result;
}

}  // namespace podshim::image

// libarchive behind RAII: the one place where its handles and its text conversions are dealt with.
// Not thread-safe; one thread per object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"
#include "shim/image/inflate.h"

struct archive;
struct archive_entry;

namespace podshim::image {

struct ArchiveFree {
  void operator()(archive* a) const;
};
using ArchivePtr = std::unique_ptr<archive, ArchiveFree>;

Error archive_error(const char* op, const std::string& subject, archive* a);

// libarchive converts names of pax headers (UTF-8) to the thread's locale: in "C" it loses them. While this lives, the
// calling thread has a UTF-8 locale.
class Utf8Thread {
 public:
  Utf8Thread();
  ~Utf8Thread();
  Utf8Thread(const Utf8Thread&) = delete;
  Utf8Thread& operator=(const Utf8Thread&) = delete;

 private:
  struct Locales;
  std::unique_ptr<Locales> locales_;
};

// A tar whose bytes come from an Inflate. `inflate` outlives it.
class TarStream {
 public:
  static Result<std::unique_ptr<TarStream>> open(Inflate& inflate);
  // nullptr at the end. Valid until the next call.
  Result<archive_entry*> next();
  struct Block {
    std::string_view bytes;
    std::uint64_t offset = 0;  // in the file: holes are left out
  };
  // Of the entry's data; empty at its end.
  Result<Block> data();

 private:
  explicit TarStream(Inflate& inflate) : inflate_(inflate) {}
  static ssize_t read(archive* a, void* self, const void** buffer);
  Error error(const char* op);

  Inflate& inflate_;
  ArchivePtr archive_;
  std::unique_ptr<Error> source_error_;  // why the callback failed
};

}  // namespace podshim::image

#include "shim/image/blob_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "common/fault.h"
#include "common/ids.h"
#include "common/sys/file.h"
#include "common/sys/retry.h"
#include "shim/image/manifest.h"

namespace podshim::image {
namespace {

constexpr std::size_t kCopyBlock = 1UL << 20;

Result<Digest> copy_hashed(const Fd& from, const Fd& to, const std::string& subject) {
  std::string buffer(kCopyBlock, '\0');
  Sha256 hash;
  for (off_t at = 0;;) {
    ssize_t n = sys::retry([&] { return ::pread(from.get(), buffer.data(), buffer.size(), at); });
    if (n < 0) return fail(Error::sys("read", subject));
    if (n == 0) return hash.finish();
    hash.update(buffer.data(), static_cast<std::size_t>(n));
    TRY(sys::write_all(to, {buffer.data(), static_cast<std::size_t>(n)}, subject));
    at += n;
  }
}

Error wrong_digest(const std::string& subject, const Digest& want, const Digest& got) {
  return Error::of(ErrorKind::invalid_argument, "verify", subject,
                   "it should be " + want.text() + ", it is " + got.text());
}

std::optional<std::uint64_t> bytes_of(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(st.st_blocks) * 512;
}

}  // namespace

Result<BlobDir> BlobDir::open(const std::string& dir, const std::string& scratch) {
  TRY(sys::make_dirs(dir + "/sha256", 0700));
  return BlobDir(dir, scratch);
}

bool BlobDir::has(const Digest& digest) const { return sys::exists(path(digest)); }

Result<Fd> BlobDir::open_blob(const Digest& digest) const {
  auto fd = sys::open(path(digest), O_RDONLY);
  if (!fd && fd.error().is(ENOENT)) return fail(Error::of(ErrorKind::not_found, "open blob", digest.text()));
  return fd;
}

Result<std::string> BlobDir::read(const Digest& digest) const {
  Fd fd = TRY(open_blob(digest));
  std::string bytes = TRY(sys::read_all(fd, digest.text(), kMaxDocument));
  if (Digest got = Digest::of(bytes); got != digest) return fail(wrong_digest(path(digest), digest, got));
  return bytes;
}

Result<> BlobDir::put(const Digest& digest, std::string_view bytes) const {
  if (Digest got = Digest::of(bytes); got != digest) return fail(wrong_digest("document", digest, got));
  if (auto old = read(digest)) return {};  // a damaged one is replaced
  // Not beside its place: there a collection removes what is no blob.
  std::string temporary = scratch_ + "/blob-" + random_hex(8);
  auto result = [&]() -> Result<> {
    TRY(sys::write_file(temporary, bytes, 0600));
    fault_point("rename document");
    if (place(::rename, temporary, digest) != 0) return fail(Error::sys("rename", temporary, path(digest)));
    return {};
  }();
  if (!result) ::unlink(temporary.c_str());
  return result;
}

Result<> BlobDir::copy(const Digest& digest, const Fd& from, const std::string& subject) const {
  std::string temporary = scratch_ + "/blob-" + random_hex(8);
  auto result = [&]() -> Result<> {
    fault_point("make blob file");
    Fd to = TRY(sys::open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
    Digest got = TRY(copy_hashed(from, to, subject));
    if (got != digest) return fail(wrong_digest(subject, digest, got));
    fault_point("rename blob");
    if (place(::rename, temporary, digest) != 0) return fail(Error::sys("rename", temporary, path(digest)));
    return {};
  }();
  if (!result) ::unlink(temporary.c_str());
  return result;
}

Result<> BlobDir::link(const Digest& digest, const std::string& from) const {
  fault_point("link blob");
  if (place(::link, from, digest) == 0 || errno == EEXIST) return {};
  return fail(Error::sys("link", from, path(digest)));
}

Result<> BlobDir::adopt(const Digest& digest, const std::string& from) const {
  fault_point("adopt blob");
  if (place(::rename, from, digest) == 0) return {};
  return fail(Error::sys("rename", from, path(digest)));
}

int BlobDir::place(Call call, const std::string& from, const Digest& digest) const {
  const std::string to = path(digest);
  std::lock_guard lock(count_->changes);
  const auto before = bytes_of(to);  // a damaged one is replaced
  if (const int failed = call(from.c_str(), to.c_str()); failed != 0) return failed;
  count_->bytes += bytes_of(to).value_or(0) - before.value_or(0);
  if (!before) count_->files++;
  return 0;
}

Result<std::vector<Digest>> BlobDir::list() const {
  std::vector<Digest> out;
  for (const auto& name : TRY(sys::list_dir(dir_ + "/sha256"))) {
    if (auto digest = Digest::parse("sha256:" + name)) out.push_back(*std::move(digest));
  }
  return out;
}

Result<> BlobDir::keep_only(const std::set<Digest>& keep) const {
  std::lock_guard lock(count_->changes);
  Usage usage;
  Result<> result;
  for (const auto& name : TRY(sys::list_dir(dir_ + "/sha256"))) {
    std::string file = dir_ + "/sha256/" + name;
    auto digest = Digest::parse("sha256:" + name);
    if (!digest || !keep.contains(*digest)) {
      auto removed = sys::remove_file(file);
      if (removed) continue;
      if (result) result = std::move(removed);
    }
    usage.bytes += bytes_of(file).value_or(0);
    usage.files++;
  }
  count_->bytes = usage.bytes;
  count_->files = usage.files;
  return result;
}

}  // namespace podshim::image

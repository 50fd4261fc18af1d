#include <archive_entry.h>
#include <sys/stat.h>

#include "common/fault.h"
#include "common/sys/file.h"
#include "shim/image/archive.h"
#include "shim/image/bundle.h"
#include "shim/image/layer_entry.h"

namespace podshim::image {
namespace {

Error no_file(const std::string& name) {
  return Error::of(ErrorKind::not_found, "open", name, "not in the image file");
}

class DirectoryFiles : public BundleFiles {
 public:
  explicit DirectoryFiles(Fd dir) : dir_(std::move(dir)) {}
  bool has(const std::string& name) const override { return sys::open_in_root(dir_, name, O_PATH).has_value(); }
  Result<BundleFile> open(const std::string& name) const override {
    auto fd = sys::open_in_root(dir_, name, O_RDONLY | O_NONBLOCK);
    if (!fd) return fail(fd.error().is(ENOENT) ? no_file(name) : std::move(fd).error());
    struct stat st{};
    if (::fstat(fd->get(), &st) != 0) return fail(Error::sys("stat", name));
    if (!S_ISREG(st.st_mode)) return fail(Error::of(ErrorKind::invalid_argument, "open", name, "not a regular file"));
    return BundleFile{.fd = *std::move(fd), .size = static_cast<std::uint64_t>(st.st_size)};
  }

 private:
  Fd dir_;
};

// Names live in memory only: no name of the archive is ever a path on the disk.
class SpooledFiles : public BundleFiles {
 public:
  SpooledFiles(std::string scratch, SpoolLimits limits) : scratch_(std::move(scratch)), limits_(limits) {}

  Result<> spool(Inflate& inflate) {
    auto tar = TRY(TarStream::open(inflate));
    while (archive_entry* entry = TRY(tar->next())) {
      if (++entries_ > limits_.entries) {
        return fail(Error::of(ErrorKind::resource_exhausted, "import", inflate.subject(), "too many files"));
      }
      TRY(take(*tar, entry));
    }
    return {};
  }

  bool has(const std::string& name) const override { return find(name) != nullptr; }

  Result<BundleFile> open(const std::string& name) const override {
    const Spooled* file = find(name);
    if (file == nullptr) return fail(no_file(name));
    return BundleFile{TRY(sys::open(file->path, O_RDONLY)), file->path, file->digest, file->size};
  }

 private:
  struct Spooled {
    std::string path;
    Digest digest;
    std::uint64_t size = 0;
  };

  Result<> take(TarStream& tar, archive_entry* entry) {
    const char* raw = archive_entry_pathname(entry);
    if (raw == nullptr) return fail(Error::invalid("archive", "a name that cannot be represented"));
    std::string name = TRY(split_entry_path(raw)).text();
    if (const char* target = archive_entry_hardlink(entry)) {
      links_[name] = TRY(split_entry_path(target)).text();
    } else if (archive_entry_filetype(entry) == AE_IFLNK) {  // `docker save` links equal layers: "../<id>/layer.tar"
      links_[name] = beside(name, archive_entry_symlink(entry));
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
      files_[name] = TRY(write(tar));
      links_.erase(name);
    }
    return {};
  }

  Result<Spooled> write(TarStream& tar) {
    Spooled file{.path = scratch_ + "/" + std::to_string(files_.size()) + "-" + std::to_string(entries_)};
    fault_point("spool file");
    Fd to = TRY(sys::open(file.path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    Sha256 hash;
    for (;;) {
      TarStream::Block block = TRY(tar.data());
      if (block.bytes.empty()) break;
      if (block.offset != file.size) return fail(Error::invalid("archive", "a sparse file: layers are not sparse"));
      hash.update(block.bytes.data(), block.bytes.size());
      TRY(sys::write_all(to, block.bytes, file.path));
      file.size += block.bytes.size();
    }
    file.digest = hash.finish();
    return file;
  }

  // A relative link target, resolved by text; "" when it leaves the archive.
  static std::string beside(const std::string& name, const char* target) {
    std::string base = target == nullptr ? "" : target;
    std::string dir = base.starts_with('/') ? "" : name.substr(0, std::min(name.rfind('/') + 1, name.size()));
    while (base.starts_with("../") && !dir.empty()) {
      base.erase(0, 3);
      dir.erase(dir.find_last_of('/', dir.size() - 2) + 1);
    }
    auto path = split_entry_path(dir + base);
    return path ? path->text() : "";
  }

  const Spooled* find(std::string name) const {
    for (int hops = 0; hops < 8; hops++) {
      if (auto file = files_.find(name); file != files_.end()) return &file->second;
      auto link = links_.find(name);
      if (link == links_.end()) return nullptr;
      name = link->second;
    }
    return nullptr;
  }

  std::string scratch_;
  SpoolLimits limits_;
  std::uint64_t entries_ = 0;
  std::map<std::string, Spooled> files_;
  std::map<std::string, std::string> links_;
};

}  // namespace

Result<std::unique_ptr<BundleFiles>> directory_files(const std::string& dir) {
  return std::make_unique<DirectoryFiles>(TRY(sys::open(dir, O_PATH | O_DIRECTORY)));
}

Result<std::unique_ptr<BundleFiles>> spool_archive(const std::string& path, const std::string& scratch,
                                                   const SpoolLimits& limits) {
  Utf8Thread locale;
  auto inflate = TRY(Inflate::open(TRY(sys::open(path, O_RDONLY)), path, limits.bytes));
  auto files = std::make_unique<SpooledFiles>(scratch, limits);
  TRY(files->spool(*inflate));
  return files;
}

}  // namespace podshim::image

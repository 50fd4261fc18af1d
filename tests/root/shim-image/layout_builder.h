// Images for tests, made without the code under test: tars by libarchive's writer, an OCI layout around them, trees
// read back file by file, and Debian's tools by exec. Needs root. Everything is below a TempDir.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/fd.h"
#include "shim/plan/facts.h"

namespace podshim::image::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct TarEntry {
  std::string path;
  mode_t type = S_IFREG;  // S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFIFO
  std::string data;       // or the target of a symlink
  std::string hard_link;  // not empty: a hard link to it
  mode_t mode = 0644;
  std::int64_t uid = 0, gid = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
  std::int64_t mtime = 1'600'000'000;
};
std::string make_tar(const std::vector<TarEntry>& entries);
std::string gzip(const std::string& bytes);

struct LayoutImage {
  std::string name;                   // the annotation; "" = none
  std::vector<std::string> layers;    // tars, stored as they are
  std::vector<std::string> diff_ids;  // empty = those of the tars
  std::string architecture;           // empty = the host's
  std::string seed;                   // makes another config
};
// Adds an image to the layout at `dir` (made when missing).
void add_image(const std::string& dir, const LayoutImage& image);
std::string blob_path(const std::string& dir, const std::string& bytes);

// Each file as one line: type, mode, owner, size, content's digest or target, times, xattrs but trusted.*; hard links
// name the first path of their group. Directories without sizes. Sorted by path.
struct TreeOptions {
  bool times = true;
};
std::map<std::string, std::string> read_tree(const std::string& root, TreeOptions options = {});
// The paths at which two trees differ, one a line, both sides; "" when they are equal.
std::string difference(const std::map<std::string, std::string>& want, const std::map<std::string, std::string>& got);

// With lowerdir+ where the kernel is 6.5 or newer.
HostFacts host_facts();

std::string fd_path(const Fd& fd);
std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);
// Exit code; output goes to `out`.
int run(const std::string& command, std::string* out = nullptr);
// The directory of hack/make-images: $PODSHIM_IMAGES, else made below the build directory once.
std::string images_dir();

}  // namespace podshim::image::test

#include "layout_builder.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "common/json.h"
#include "common/sys/file.h"
#include "shim/image/archive.h"
#include "shim/image/digest.h"
#include "shim/image/manifest.h"

namespace podshim::image::test {
namespace {

void must(bool ok, const std::string& what) {
  if (!ok) throw std::runtime_error("test set-up: " + what);
}

json::Value describe(const std::string& dir, const std::string& bytes, const std::string& type) {
  std::string path = blob_path(dir, bytes);
  if (!sys::exists(path)) write_text(path, bytes);
  return json::Value::object().set("mediaType", type).set("digest", Digest::of(bytes).text()).set("size", bytes.size());
}

std::string xattrs_of(const std::string& path) {
  std::string names(65536, '\0'), out;
  ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  std::map<std::string, std::string> sorted;
  for (ssize_t at = 0; at < size;) {
    std::string name = names.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    if (name.starts_with("trusted.")) continue;
    std::string value(65536, '\0');
    ssize_t n = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    sorted[name] = Digest::of(value.substr(0, static_cast<std::size_t>(n < 0 ? 0 : n))).hex().substr(0, 8);
  }
  for (const auto& [name, value] : sorted) out += " " + name + "=" + value;
  return out;
}

std::string show(const std::string& path, const struct stat& st, const TreeOptions& options) {
  std::ostringstream out;
  const char* type = S_ISREG(st.st_mode)    ? "file"
                     : S_ISDIR(st.st_mode)  ? "dir"
                     : S_ISLNK(st.st_mode)  ? "link"
                     : S_ISCHR(st.st_mode)  ? "chr"
                     : S_ISBLK(st.st_mode)  ? "blk"
                     : S_ISFIFO(st.st_mode) ? "fifo"
                                            : "other";
  out << type << " " << std::oct << (st.st_mode & 07777) << std::dec << " " << st.st_uid << ":" << st.st_gid;
  if (S_ISREG(st.st_mode)) out << " " << st.st_size << " " << Digest::of(read_text(path)).hex().substr(0, 12);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) out << " " << major(st.st_rdev) << ":" << minor(st.st_rdev);
  if (S_ISLNK(st.st_mode)) {
    std::string target(4096, '\0');
    ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
    out << " -> " << target.substr(0, static_cast<std::size_t>(n < 0 ? 0 : n));
  }
  if (options.times) out << " @" << st.st_mtim.tv_sec << "." << st.st_mtim.tv_nsec;
  return out.str() + xattrs_of(path);
}

void walk(const std::string& root, const std::string& relative, const TreeOptions& options,
          std::map<std::pair<dev_t, ino_t>, std::vector<std::string>>* inodes,
          std::map<std::string, std::string>* out) {
  auto names = sys::list_dir(root + "/" + relative);
  must(names.has_value(), "list " + root + "/" + relative);
  for (const auto& name : *names) {
    std::string path = relative.empty() ? name : relative + "/" + name;
    std::string full = root + "/" + path;
    struct stat st{};
    must(::lstat(full.c_str(), &st) == 0, "lstat " + full);
    std::string line = show(full, st, options);
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) (*inodes)[{st.st_dev, st.st_ino}].push_back(path);
    (*out)[path] = line;
    if (S_ISDIR(st.st_mode)) walk(root, path, options, inodes, out);
  }
}

}  // namespace

TempDir::TempDir() {
  char path[] = "/var/tmp/podshim-image-test-XXXXXX";
  must(::mkdtemp(path) != nullptr, "mkdtemp");
  path_ = path;
}

TempDir::~TempDir() { (void)sys::remove_tree(path_); }

std::string make_tar(const std::vector<TarEntry>& entries) {
  Utf8Thread locale;  // libarchive writes names in the locale of the thread
  archive* a = archive_write_new();
  archive_write_set_format_pax(a);
  archive_write_set_bytes_per_block(a, 512);
  std::string out;
  auto write = [](archive*, void* to, const void* bytes, std::size_t size) -> la_ssize_t {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  };
  archive_write_open(a, &out, nullptr, write, nullptr);
  for (const auto& e : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.path.c_str());
    archive_entry_set_filetype(entry, e.type);
    archive_entry_set_perm(entry, e.mode);
    archive_entry_set_uid(entry, e.uid);
    archive_entry_set_gid(entry, e.gid);
    archive_entry_set_mtime(entry, e.mtime, 0);
    if (e.type == S_IFREG && e.hard_link.empty()) archive_entry_set_size(entry, static_cast<la_int64_t>(e.data.size()));
    if (e.type == S_IFLNK) archive_entry_set_symlink(entry, e.data.c_str());
    if (e.type == S_IFCHR) archive_entry_set_rdev(entry, makedev(1, 3));
    if (!e.hard_link.empty()) archive_entry_set_hardlink(entry, e.hard_link.c_str());
    for (const auto& [name, value] : e.xattrs)
      archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
    must(archive_write_header(a, entry) == ARCHIVE_OK,
         e.path + ": " + (archive_error_string(a) ? archive_error_string(a) : ""));
    if (e.type == S_IFREG && e.hard_link.empty()) archive_write_data(a, e.data.data(), e.data.size());
    archive_entry_free(entry);
  }
  archive_write_close(a);
  archive_write_free(a);
  return out;
}

std::string gzip(const std::string& bytes) {
  archive* a = archive_write_new();
  archive_write_set_format_raw(a);
  archive_write_add_filter_gzip(a);
  archive_write_set_filter_option(a, "gzip", "timestamp", nullptr);
  std::string out;
  auto write = [](archive*, void* to, const void* from, std::size_t size) -> la_ssize_t {
    static_cast<std::string*>(to)->append(static_cast<const char*>(from), size);
    return static_cast<la_ssize_t>(size);
  };
  archive_write_open(a, &out, nullptr, write, nullptr);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(a, entry);
  archive_write_data(a, bytes.data(), bytes.size());
  archive_entry_free(entry);
  archive_write_close(a);
  archive_write_free(a);
  return out;
}

std::string blob_path(const std::string& dir, const std::string& bytes) {
  return dir + "/blobs/sha256/" + Digest::of(bytes).hex();
}

void add_image(const std::string& dir, const LayoutImage& image) {
  must(sys::make_dirs(dir + "/blobs/sha256").has_value(), "make " + dir);
  write_text(dir + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  json::Value diff_ids = json::Value::array(), layers = json::Value::array();
  for (const auto& layer : image.layers) {
    if (image.diff_ids.empty()) diff_ids.push(Digest::of(layer).text());
    layers.push(describe(dir, layer, "application/vnd.oci.image.layer.v1.tar"));
  }
  for (const auto& diff_id : image.diff_ids) diff_ids.push(diff_id);
  json::Value config = json::Value::object();
  config.set("os", "linux")
      .set("architecture", image.architecture.empty() ? host_platform().architecture : image.architecture);
  config.set("author", image.seed).set("config", json::Value::object().set("Cmd", json::Value::strings({"sh"})));
  config.set("rootfs", json::Value::object().set("type", "layers").set("diff_ids", std::move(diff_ids)));
  json::Value manifest = json::Value::object();
  manifest.set("schemaVersion", 2)
      .set("config", describe(dir, json::dump(config), "application/vnd.oci.image.config.v1+json"));
  manifest.set("layers", std::move(layers));
  json::Value d = describe(dir, json::dump(manifest), "application/vnd.oci.image.manifest.v1+json");
  if (!image.name.empty())
    d.set("annotations", json::Value::object().set("org.opencontainers.image.ref.name", image.name));
  json::Value index = json::Value::object().set("schemaVersion", 2).set("manifests", json::Value::array());
  if (sys::exists(dir + "/index.json")) index = json::parse(read_text(dir + "/index.json")).value();
  json::Value manifests = *index.find("manifests");
  index.set("manifests", manifests.push(std::move(d)));
  write_text(dir + "/index.json", json::dump(index));
}

std::map<std::string, std::string> read_tree(const std::string& root, TreeOptions options) {
  std::map<std::string, std::string> out;
  std::map<std::pair<dev_t, ino_t>, std::vector<std::string>> inodes;
  struct stat st{};
  must(::stat(root.c_str(), &st) == 0, "stat " + root);
  out[""] = show(root + "/.", st, {.times = false});
  walk(root, "", options, &inodes, &out);
  // By what is seen, not by st_nlink: overlayfs counts links that a higher layer has replaced.
  for (const auto& [inode, paths] : inodes) {
    if (paths.size() < 2) continue;
    for (const auto& path : paths) out[path] += " = " + paths.front();
  }
  return out;
}

std::string difference(const std::map<std::string, std::string>& want, const std::map<std::string, std::string>& got) {
  std::string out;
  for (const auto& [path, line] : want) {
    auto other = got.find(path);
    if (other == got.end())
      out += "missing /" + path + ": " + line + "\n";
    else if (other->second != line)
      out += "/" + path + "\n  want " + line + "\n  got  " + other->second + "\n";
  }
  for (const auto& [path, line] : got) {
    if (!want.contains(path)) out += "too much /" + path + ": " + line + "\n";
  }
  return out;
}

HostFacts host_facts() {
  utsname name{};
  ::uname(&name);
  int first = 0, second = 0;
  must(std::sscanf(name.release, "%d.%d", &first, &second) == 2, "uname");
  return {.overlay_lowerdir_plus = first > 6 || (first == 6 && second >= 5)};
}

std::string fd_path(const Fd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  must(!out.fail(), "write " + path);
}

int run(const std::string& command, std::string* out) {
  std::string text;
  FILE* pipe = ::popen(("exec 2>&1; " + command).c_str(), "re");
  must(pipe != nullptr, "popen");
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  int status = ::pclose(pipe);
  if (out != nullptr) *out = text;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string images_dir() {
  if (const char* dir = std::getenv("PODSHIM_IMAGES"); dir != nullptr && *dir != '\0') return dir;
  std::string dir = std::string(PODSHIM_BUILD_DIR) + "/images", out;
  must(run(std::string(PODSHIM_SOURCE_DIR) + "/hack/make-images " + dir, &out) == 0, "hack/make-images: " + out);
  return dir;
}

}  // namespace podshim::image::test

#include "podlet/volumes.h"

#include "common/sys/file.h"

namespace podshim::podlet {
namespace {

using Type = kube::HostPath::Type;

bool has_type(const struct stat& st, Type type) {
  switch (type) {
    case Type::unset:
      return true;
    case Type::directory_or_create:
    case Type::directory:
      return S_ISDIR(st.st_mode);
    case Type::file_or_create:
    case Type::file:
      return S_ISREG(st.st_mode);
    case Type::socket:
      return S_ISSOCK(st.st_mode);
    case Type::char_device:
      return S_ISCHR(st.st_mode);
    case Type::block_device:
      return S_ISBLK(st.st_mode);
  }
  return false;
}

const char* type_name(Type type) {
  static constexpr const char* kNames[] = {"anything", "a directory", "a directory",        "a file",
                                           "a file",   "a socket",    "a character device", "a block device"};
  return kNames[static_cast<int>(type)];
}

Result<> prepare_host_path(const HostPathNeed& need) {
  const auto& path = need.path.path;
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno != ENOENT) return fail(Error::sys("stat", path).within("hostPath volume " + need.volume));
    if (need.path.type == Type::directory_or_create) return sys::make_dirs(path);
    if (need.path.type == Type::file_or_create) return sys::write_file(path, "", 0644);
    if (need.path.type == Type::unset) return {};  // the runtime says what it makes of it
    return fail(Error::sys("stat", path, {}, ENOENT).within("hostPath volume " + need.volume));
  }
  if (!has_type(st, need.path.type))
    return fail(Error::of(ErrorKind::failed_precondition, "hostPath", path,
                          std::string("is not ") + type_name(need.path.type)));
  return {};
}

Result<> write_files(const FileNeed& need) {
  TRY(sys::make_dirs(need.directory, 0755));
  for (const auto& [path, bytes] : need.files) {
    auto full = need.directory + "/" + path;
    TRY(sys::make_dirs(full.substr(0, full.rfind('/')), 0755));
    TRY(sys::write_file_atomic(full, bytes, static_cast<mode_t>(need.mode)));
  }
  return {};
}

}  // namespace

Result<> prepare_volumes(const VolumeNeeds& needs) {
  for (const auto& need : needs.host_paths) TRY(prepare_host_path(need));
  for (const auto& need : needs.files) TRY(write_files(need));
  for (const auto& directory : needs.directories) {
    TRY(sys::make_dirs(directory, 0755));
    // Any user of the Pod may write, as in the kubelet's emptyDir.
    if (::chmod(directory.c_str(), 0777) != 0) return fail(Error::sys("chmod", directory));
  }
  return {};
}

Result<> remove_volumes(const PodRecord& record, const NodeFacts& node) {
  TRY(sys::remove_tree(node.state_dir + "/volumes/" + record.uid));
  return sys::remove_tree(log_directory(record, node));
}

}  // namespace podshim::podlet

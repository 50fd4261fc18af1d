#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::ListImagesResponse> list_images(Border& border, const v1::ListImagesRequest& request) {
  auto& images = border.runtime.images();
  v1::ListImagesResponse out;
  const std::string& wanted = request.filter().image().image();
  if (!wanted.empty()) {
    if (const auto image = images.find(wanted)) encode_image(*image, out.add_images());
    return out;
  }
  for (const auto& image : images.list()) encode_image(image, out.add_images());
  return out;
}

// No such image is an answer, not an error.
Result<v1::ImageStatusResponse> image_status(Border& border, const v1::ImageStatusRequest& request) {
  if (request.image().image().empty()) return fail(Error::invalid("image.image", "is required"));
  v1::ImageStatusResponse out;
  const auto image = border.runtime.images().find(request.image().image());
  if (!image) return out;
  encode_image(*image, out.mutable_image());
  if (request.verbose()) (*out.mutable_info())["info"] = image_info(*image);
  return out;
}

Result<v1::ImageFsInfoResponse> image_fs_info(Border& border, const v1::ImageFsInfoRequest&) {
  const FsUsage usage = TRY(border.runtime.images().usage());
  v1::ImageFsInfoResponse out;
  for (auto* entry : {out.add_image_filesystems(), out.add_container_filesystems()}) {
    entry->set_timestamp(usage.timestamp_ns);
    entry->mutable_fs_id()->set_mountpoint(usage.mountpoint);
    entry->mutable_used_bytes()->set_value(usage.used_bytes);
    entry->mutable_inodes_used()->set_value(usage.inodes_used);
  }
  return out;
}

}  // namespace podshim::cri

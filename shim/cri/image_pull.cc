#include "shim/cri/encode.h"
#include "shim/cri/rpc.h"

namespace podshim::cri {

// Answers for images that are here; fetching from a registry is not there yet.
Result<v1::PullImageResponse> pull_image(Border& border, const v1::PullImageRequest& request) {
  const std::string& name = request.image().image();
  if (name.empty()) return fail(Error::invalid("image.image", "is required"));
  const auto image = border.runtime.images().find(name);
  if (!image)
    return fail(Error::of(
        ErrorKind::not_found, "pull image", name,
        "no such image here, and registries are not supported yet: import it with `podshim image import FILE`"));
  v1::PullImageResponse out;
  out.set_image_ref(image->id);
  return out;
}

}  // namespace podshim::cri

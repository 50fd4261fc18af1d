#include "shim/cri/rpc.h"

namespace podshim::cri {

Result<v1::RemoveImageResponse> remove_image(Border& border, const v1::RemoveImageRequest& request) {
  if (request.image().image().empty()) return fail(Error::invalid("image.image", "is required"));
  TRY_IN(border.runtime.images().remove(request.image().image()), "remove image " + request.image().image());
  return v1::RemoveImageResponse{};
}

}  // namespace podshim::cri

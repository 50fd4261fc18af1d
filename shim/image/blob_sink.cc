#include "shim/image/blob_sink.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace podshim::image {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (err != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 100-199/200" begins at 100.
std::optional<std::uint64_t> range_start(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  return number(text.substr(0, text.find('-')));
}

}  // namespace

Error BlobSink::wrong(std::string why) const {
  return Error::of(ErrorKind::failed_precondition, "verify", blob_.digest.text(), std::move(why));
}

Result<> BlobSink::begin(const HttpResponse& response) {
  const std::uint64_t here = feed_.size();
  skip_ = response.status == 200 ? here : 0;
  if (response.status == 206 && range_start(response.header("content-range")) != here)
    return fail(wrong(from_ + " sent another range than was asked for: " + response.header("content-range")));
  if (std::string encoding = response.header("content-encoding"); !encoding.empty() && encoding != "identity")
    return fail(wrong(from_ + " sent it encoded as " + encoding));
  const std::uint64_t expected = size_ - (here - skip_);
  if (auto length = number(response.header("content-length")); length && *length != expected)
    return fail(
        wrong(from_ + " has " + std::to_string(*length) + " bytes, the manifest says " + std::to_string(expected)));
  return {};
}

Result<> BlobSink::write(std::string_view bytes) {
  const std::size_t known = std::min<std::uint64_t>(skip_, bytes.size());
  skip_ -= known;
  bytes.remove_prefix(known);
  if (bytes.empty()) return {};
  const std::uint64_t here = feed_.size();
  if (bytes.size() > size_ - here)
    return fail(wrong(from_ + " sends more than the " + std::to_string(size_) + " bytes of the manifest"));
  hash_.update(bytes.data(), bytes.size());
  TRY(feed_.append(bytes));
  *fetched_ = here + bytes.size();
  return {};
}

Result<> BlobSink::verify(const std::string& from) {
  if (Digest got = hash_.finish(); got != blob_.digest) return fail(wrong(from + " sent " + got.text()));
  return {};
}

}  // namespace podshim::image

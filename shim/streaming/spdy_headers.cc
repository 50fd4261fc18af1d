#include "shim/streaming/spdy_headers.h"

#include <zlib.h>

#include <array>

#include "shim/streaming/big_endian.h"

namespace podshim::streaming::spdy {
namespace {

// The dictionary of SPDY/3 (draft-mbelshe-httpbis-spdy-00, 2.6.10.1): words, each with its length before it, and a
// text.
constexpr std::string_view kWords[] = {"options",
                                       "head",
                                       "post",
                                       "put",
                                       "delete",
                                       "trace",
                                       "accept",
                                       "accept-charset",
                                       "accept-encoding",
                                       "accept-language",
                                       "accept-ranges",
                                       "age",
                                       "allow",
                                       "authorization",
                                       "cache-control",
                                       "connection",
                                       "content-base",
                                       "content-encoding",
                                       "content-language",
                                       "content-length",
                                       "content-location",
                                       "content-md5",
                                       "content-range",
                                       "content-type",
                                       "date",
                                       "etag",
                                       "expect",
                                       "expires",
                                       "from",
                                       "host",
                                       "if-match",
                                       "if-modified-since",
                                       "if-none-match",
                                       "if-range",
                                       "if-unmodified-since",
                                       "last-modified",
                                       "location",
                                       "max-forwards",
                                       "pragma",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "range",
                                       "referer",
                                       "retry-after",
                                       "server",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "user-agent",
                                       "vary",
                                       "via",
                                       "warning",
                                       "www-authenticate",
                                       "method",
                                       "get",
                                       "status",
                                       "200 OK",
                                       "version",
                                       "HTTP/1.1",
                                       "url",
                                       "public",
                                       "set-cookie",
                                       "keep-alive",
                                       "origin"};
constexpr std::string_view kText =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

// Small windows: what we send are empty replies. The client needs no more than what the stream's header says.
constexpr int kWindowBits = 11, kMemoryLevel = 1;

const Bytef* bytes_of(std::string_view text) { return reinterpret_cast<const Bytef*>(text.data()); }

}  // namespace

std::string_view dictionary() {
  static const std::string text = [] {
    std::string out;
    for (const auto word : kWords) {
      put_u32(&out, static_cast<std::uint32_t>(word.size()));
      out += word;
    }
    return out.append(kText);
  }();
  return text;
}

struct HeaderInflater::Stream {
  z_stream z{};
  bool ready = false;
  ~Stream() {
    if (ready) ::inflateEnd(&z);
  }
};
HeaderInflater::HeaderInflater() : stream_(std::make_unique<Stream>()) {}
HeaderInflater::~HeaderInflater() = default;

Result<Headers> HeaderInflater::inflate(std::string_view block) {
  const auto bad = [](std::string why) {
    return fail(Error::of(ErrorKind::invalid_argument, "inflate", "header block", std::move(why)));
  };
  z_stream& z = stream_->z;
  if (!stream_->ready && ::inflateInit(&z) != Z_OK) return bad("no memory");
  stream_->ready = true;
  z.next_in = const_cast<Bytef*>(bytes_of(block));
  z.avail_in = static_cast<uInt>(block.size());
  std::string out;
  std::array<char, 4096> piece;
  for (;;) {
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = piece.size();
    int rc = ::inflate(&z, Z_SYNC_FLUSH);
    if (rc == Z_NEED_DICT) {
      rc = ::inflateSetDictionary(&z, bytes_of(dictionary()), static_cast<uInt>(dictionary().size()));
      if (rc == Z_OK) continue;
    }
    out.append(piece.data(), piece.size() - z.avail_out);
    if (out.size() > kMaxHeaderBytes) return bad("is larger than " + std::to_string(kMaxHeaderBytes) + " bytes");
    if (rc == Z_BUF_ERROR || (rc == Z_OK && z.avail_in == 0 && z.avail_out != 0)) break;  // nothing more to give
    if (rc != Z_OK) return bad(z.msg != nullptr ? z.msg : "is not a zlib stream");
  }
  return parse_header_block(out);
}

struct HeaderDeflater::Stream {
  z_stream z{};
  bool ready = false;
  ~Stream() {
    if (ready) ::deflateEnd(&z);
  }
};
HeaderDeflater::HeaderDeflater() : stream_(std::make_unique<Stream>()) {}
HeaderDeflater::~HeaderDeflater() = default;

std::string HeaderDeflater::deflate(const Headers& headers) {
  z_stream& z = stream_->z;
  if (!stream_->ready) {
    if (::deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) return {};
    stream_->ready = true;
    ::deflateSetDictionary(&z, bytes_of(dictionary()), static_cast<uInt>(dictionary().size()));
  }
  std::string plain;
  put_u32(&plain, static_cast<std::uint32_t>(headers.size()));
  for (const auto& [name, value] : headers) {
    put_u32(&plain, static_cast<std::uint32_t>(name.size()));
    plain += name;
    put_u32(&plain, static_cast<std::uint32_t>(value.size()));
    plain += value;
  }
  z.next_in = const_cast<Bytef*>(bytes_of(plain));
  z.avail_in = static_cast<uInt>(plain.size());
  std::string out;
  std::array<char, 512> piece;
  do {
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = piece.size();
    ::deflate(&z, Z_SYNC_FLUSH);
    out.append(piece.data(), piece.size() - z.avail_out);
  } while (z.avail_out == 0);
  return out;
}

Result<Headers> parse_header_block(std::string_view rest) {
  const auto bad = [](std::string why) {
    return fail(Error::of(ErrorKind::invalid_argument, "parse", "header block", std::move(why)));
  };
  const auto take_text = [&](std::string_view* out) {
    if (rest.size() < 4) return false;
    const std::size_t size = get_u32(rest.data());
    if (size > rest.size() - 4) return false;
    *out = rest.substr(4, size);
    rest.remove_prefix(4 + size);
    return true;
  };
  if (rest.size() < 4) return bad("has no count");
  const std::uint32_t count = get_u32(rest.data());
  rest.remove_prefix(4);
  if (count > kMaxHeaders) return bad(std::to_string(count) + " headers are too many");
  Headers headers;
  for (std::uint32_t i = 0; i < count; i++) {
    std::string_view name, value;
    if (!take_text(&name) || !take_text(&value)) return bad("ends within a header");
    if (name.empty()) return bad("has an empty name");
    std::string lower(name);
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!headers.emplace(std::move(lower), value.substr(0, value.find('\0'))).second)
      return bad("has " + std::string(name) + " twice");
  }
  if (!rest.empty()) return bad("has bytes after its end");
  return headers;
}

}  // namespace podshim::streaming::spdy

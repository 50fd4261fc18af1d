// Inflate over every compression, in pieces of every size; bombs, torn and broken streams; a feed that is read while
// it is written.
#include "shim/image/inflate.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <random>
#include <thread>

namespace podshim::image {
namespace {

std::string gzip(const std::string& bytes, int level = 6) {
  z_stream z{};
  deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

// Half text, half noise.
std::string content(std::size_t size) {
  std::mt19937 random(7);
  std::string out;
  while (out.size() < size) {
    out += "the quick brown fox " + std::to_string(random());
    for (int i = 0; i < 20; i++) out += static_cast<char>(random());
  }
  out.resize(size);
  return out;
}

class Pieces : public ByteSource {
 public:
  Pieces(std::string bytes, std::size_t size) : bytes_(std::move(bytes)), size_(size) {}
  Result<std::string_view> next() override {
    auto out = std::string_view(bytes_).substr(at_, size_);
    at_ += out.size();
    return out;
  }

 private:
  std::string bytes_;
  std::size_t size_, at_ = 0;
};

Result<std::string> all(std::unique_ptr<ByteSource> source, std::uint64_t limit = 1UL << 30) {
  auto inflate = TRY(Inflate::open(std::move(source), "test", limit));
  std::string out;
  for (;;) {
    auto block = TRY(inflate->next());
    if (block.empty()) break;
    out += block;
  }
  Digest digest = TRY(inflate->finish());
  EXPECT_EQ(digest, Digest::of(out));
  EXPECT_EQ(inflate->bytes(), out.size());
  return out;
}

TEST(Inflate, EveryCompressionInEveryPiece) {
  const std::string small = "abc", large = content(900'000);
  struct Case {
    const char* name;
    std::string in, want;
  };
  const Case cases[] = {
      {"nothing", "", ""},
      {"plain", large, large},
      {"plain, short", small, small},
      {"gzip", gzip(large), large},
      {"gzip, stored", gzip(large, 0), large},
      {"gzip of nothing", gzip(""), ""},
      {"gzip, short", gzip(small), small},
      {"gzip members", gzip(large) + gzip(small) + gzip(large), large + small + large},
      {"gzip and zeros behind it", gzip(small) + std::string(1000, '\0'), small},
      {"gzip in gzip is not unwrapped", gzip(gzip(small)), gzip(small)},
      {"zstd", zstd(large), large},
      {"zstd of nothing", zstd(""), ""},
      {"zstd frames", zstd(large) + zstd(small), large + small},
  };
  for (const auto& c : cases) {
    for (std::size_t size : {std::size_t(1), std::size_t(7), std::size_t(4096), std::size_t(1) << 20}) {
      if (size == 1 && c.in.size() > 10000) continue;
      auto got = all(std::make_unique<Pieces>(c.in, size));
      ASSERT_TRUE(got) << c.name << " " << size << ": " << got.error().text();
      EXPECT_TRUE(*got == c.want) << c.name << " in pieces of " << size << ": " << got->size() << " bytes";
    }
  }
}

TEST(Inflate, BrokenStreamsAreErrors) {
  const std::string large = content(300'000);
  auto flipped = [](std::string s, std::size_t at) {
    s[at] = static_cast<char>(s[at] ^ 0x55);
    return s;
  };
  struct Case {
    const char* name;
    std::string in;
    const char* error;
  };
  const std::string packed = gzip(large), framed = zstd(large);
  const Case cases[] = {
      {"gzip torn in the data", packed.substr(0, packed.size() / 2), "ends early"},
      {"gzip torn in the trailer", packed.substr(0, packed.size() - 3), "ends early"},
      {"gzip torn in the header", packed.substr(0, 5), "ends early"},
      {"gzip with a wrong checksum", flipped(packed, packed.size() - 6), "checksum"},
      {"zstd torn", framed.substr(0, framed.size() - 10), "ends early"},
      {"zstd with junk behind it", framed + "junk", "zstd"},
  };
  for (const auto& c : cases) {
    for (std::size_t size : {std::size_t(100), std::size_t(1) << 20}) {
      auto got = all(std::make_unique<Pieces>(c.in, size));
      ASSERT_FALSE(got) << c.name;
      EXPECT_NE(got.error().text().find(c.error), std::string::npos) << c.name << ": " << got.error().text();
    }
  }
}

TEST(Inflate, ABombEndsAtTheLimit) {
  const std::string zeros(50'000'000, '\0');
  for (const auto& in : {gzip(zeros), zstd(zeros), zeros}) {
    auto got = all(std::make_unique<Pieces>(in, 4096), 1'000'000);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::resource_exhausted);
  }
}

TEST(BlobFeed, IsReadWhileItIsWritten) {
  std::string path = ::testing::TempDir() + "feed-" + std::to_string(::getpid());
  const std::string text = content(3'000'000), packed = gzip(text);
  for (bool good : {true, false}) {
    ::unlink(path.c_str());
    auto feed = BlobFeed::open(path).value();
    std::thread writer([&] {
      for (std::size_t at = 0; at < packed.size(); at += 50'000)
        ASSERT_TRUE(feed->append(std::string_view(packed).substr(at, 50'000)));
      feed->end(good ? Result<>() : fail(Error::of(ErrorKind::failed_precondition, "verify", "blob", "wrong")));
    });
    auto got = all(feed_source(feed));
    writer.join();
    EXPECT_EQ(got.has_value(), good) << "unverified bytes may not end well";
    EXPECT_TRUE(!good || *got == text);
    EXPECT_EQ(feed->wait().has_value(), good);
    EXPECT_EQ(feed->size(), packed.size());
  }
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace podshim::image

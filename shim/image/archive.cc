#include "shim/image/archive.h"

#include <archive.h>
#include <locale.h>

#include "common/sys/retry.h"
#include "shim/image/manifest.h"

namespace podshim::image {
namespace {

constexpr std::size_t kBlock = 256UL << 10;

int filter_of(LayerCompression compression) {
  switch (compression) {
    case LayerCompression::gzip:
      return ARCHIVE_FILTER_GZIP;
    case LayerCompression::zstd:
      return ARCHIVE_FILTER_ZSTD;
    case LayerCompression::none:
      break;
  }
  return ARCHIVE_FILTER_NONE;
}

}  // namespace

void ArchiveFree::operator()(archive* a) const { archive_read_free(a); }

Error archive_error(const char* op, const std::string& subject, archive* a) {
  const char* why = archive_error_string(a);
  int code = archive_errno(a);
  // libarchive gives ARCHIVE_ERRNO_MISC (-1) for most faults of the format.
  if (code > 0 && (code == EIO || code == ENOMEM)) return Error::sys(op, subject, {}, code);
  return Error::of(ErrorKind::invalid_argument, op, subject, why != nullptr ? why : "not readable as an archive");
}

struct Utf8Thread::Locales {
  locale_t utf8, before;
};

Utf8Thread::Utf8Thread() : locales_(std::make_unique<Locales>()) {
  locales_->utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  // Without it (a machine without any locale) names beyond ASCII end in an error of libarchive's, never in a wrong
  // name.
  locales_->before = locales_->utf8 != nullptr ? ::uselocale(locales_->utf8) : nullptr;
}

Utf8Thread::~Utf8Thread() {
  if (locales_->utf8 == nullptr) return;
  ::uselocale(locales_->before);
  ::freelocale(locales_->utf8);
}

Result<> Inflate::start(std::string_view head) {
  archive_.reset(archive_read_new());
  if (!archive_) return fail(Error::sys("open archive", subject_, {}, ENOMEM));
  // Exactly one filter: bidding would unwrap gzip inside gzip.
  int filter = filter_of(detect_compression(head));
  int r = filter == ARCHIVE_FILTER_NONE ? ARCHIVE_OK : archive_read_append_filter(archive_.get(), filter);
  if (r == ARCHIVE_OK) r = archive_read_support_format_raw(archive_.get());
  if (r == ARCHIVE_OK) r = archive_read_support_format_empty(archive_.get());
  if (r != ARCHIVE_OK) return fail(archive_error("open archive", subject_, archive_.get()));
  return {};
}

Result<std::unique_ptr<Inflate>> Inflate::open(Fd file, std::string subject, std::uint64_t limit) {
  std::unique_ptr<Inflate> self(new Inflate(std::move(subject), limit));
  self->file_ = std::move(file);
  char head[8];
  ssize_t n = sys::retry([&] { return ::pread(self->file_.get(), head, sizeof head, 0); });
  if (n < 0) return fail(Error::sys("read", self->subject_));
  TRY(self->start({head, static_cast<std::size_t>(n)}));
  archive_entry* entry = nullptr;
  archive* a = self->archive_.get();
  if (archive_read_open_fd(a, self->file_.get(), kBlock) != ARCHIVE_OK) {
    return fail(archive_error("open archive", self->subject_, a));
  }
  int r = archive_read_next_header(a, &entry);
  if (r == ARCHIVE_EOF) self->ended_ = true;
  if (r != ARCHIVE_EOF && r != ARCHIVE_OK) return fail(archive_error("inflate", self->subject_, a));
  return self;
}

Result<std::unique_ptr<Inflate>> Inflate::open_bytes(std::string_view bytes, std::string subject, std::uint64_t limit) {
  std::unique_ptr<Inflate> self(new Inflate(std::move(subject), limit));
  TRY(self->start(bytes));
  archive_entry* entry = nullptr;
  archive* a = self->archive_.get();
  if (archive_read_open_memory(a, bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return fail(archive_error("open archive", self->subject_, a));
  }
  int r = archive_read_next_header(a, &entry);
  if (r == ARCHIVE_EOF) self->ended_ = true;
  if (r != ARCHIVE_EOF && r != ARCHIVE_OK) return fail(archive_error("inflate", self->subject_, a));
  return self;
}

Result<std::string_view> Inflate::next() {
  if (ended_) return std::string_view();
  const void* data = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  int r = ARCHIVE_OK;
  while (size == 0 && r == ARCHIVE_OK) r = archive_read_data_block(archive_.get(), &data, &size, &offset);
  if (r == ARCHIVE_EOF) {
    ended_ = true;
    return std::string_view();
  }
  if (r != ARCHIVE_OK) return fail(archive_error("inflate", subject_, archive_.get()));
  bytes_ += size;
  if (bytes_ > limit_) {
    return fail(Error::of(ErrorKind::resource_exhausted, "inflate", subject_,
                          "more than " + std::to_string(limit_) + " bytes: the limit of a layer"));
  }
  hash_.update(data, size);
  return std::string_view(static_cast<const char*>(data), size);
}

Result<Digest> Inflate::finish() {
  while (!TRY(next()).empty()) {
  }
  return hash_.finish();
}

Result<std::unique_ptr<TarStream>> TarStream::open(Inflate& inflate) {
  std::unique_ptr<TarStream> self(new TarStream(inflate));
  self->archive_.reset(archive_read_new());
  archive* a = self->archive_.get();
  if (a == nullptr) return fail(Error::sys("open tar", inflate.subject(), {}, ENOMEM));
  int r = archive_read_support_format_tar(a);
  if (r == ARCHIVE_OK) r = archive_read_support_format_empty(a);
  if (r == ARCHIVE_OK) r = archive_read_open(a, self.get(), nullptr, &TarStream::read, nullptr);
  if (r != ARCHIVE_OK) return fail(self->error("open tar"));
  return self;
}

ssize_t TarStream::read(archive* a, void* self, const void** buffer) {
  auto* stream = static_cast<TarStream*>(self);
  auto block = stream->inflate_.next();
  if (!block) {
    stream->source_error_ = std::make_unique<Error>(std::move(block).error());
    archive_set_error(a, EIO, "the source failed");
    return -1;
  }
  *buffer = block->data();
  return static_cast<ssize_t>(block->size());
}

Error TarStream::error(const char* op) {
  if (source_error_) return std::move(*source_error_);
  return archive_error(op, inflate_.subject(), archive_.get());
}

Result<archive_entry*> TarStream::next() {
  archive_entry* entry = nullptr;
  int r = archive_read_next_header(archive_.get(), &entry);
  if (r == ARCHIVE_EOF) return nullptr;
  // A warning is a name or an attribute that could not be represented: a layer with something missing is no layer.
  if (r != ARCHIVE_OK) return fail(error("read tar"));
  return entry;
}

Result<TarStream::Block> TarStream::data() {
  const void* data = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  int r = ARCHIVE_OK;
  while (size == 0 && r == ARCHIVE_OK) r = archive_read_data_block(archive_.get(), &data, &size, &offset);
  if (r == ARCHIVE_EOF) return Block{};
  if (r != ARCHIVE_OK) return fail(error("read tar"));
  return Block{{static_cast<const char*>(data), size}, static_cast<std::uint64_t>(offset)};
}

}  // namespace podshim::image

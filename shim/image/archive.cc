#include "shim/image/archive.h"

#include <archive.h>
#include <locale.h>

namespace podshim::image {

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

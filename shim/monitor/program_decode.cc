#include "shim/monitor/program_decode.h"

#include <cstring>

namespace podshim {
namespace {

constexpr std::size_t kMaxListEntries = 1U << 20;

std::unexpected<Error> refuse(const char* why) { return fail(Error::invalid("program", why)); }

// A text of the blob; `length` without the NUL behind it. False when it is not all there.
bool text_at(std::string_view blob, std::uint32_t offset, std::string_view* out) {
  std::uint32_t length;
  if (blob.size() < sizeof length || offset > blob.size() - sizeof length) return false;
  std::memcpy(&length, blob.data() + offset, sizeof length);
  blob.remove_prefix(offset + sizeof length);
  *out = blob.substr(0, length);
  return length <= blob.size();
}

bool ended_text(std::string_view blob, std::uint32_t offset, const char** text, std::uint32_t* length) {
  if (offset == 0) return true;  // none: stays ""
  std::string_view found;
  if (!text_at(blob, offset, &found)) return false;
  const char* end = found.data() + found.size();
  if (end >= blob.data() + blob.size() || *end != '\0') return false;
  *text = found.data();
  *length = static_cast<std::uint32_t>(found.size());
  return true;
}

bool list_at(std::string_view blob, std::uint32_t offset, std::uint32_t count, std::vector<const char*>& pointers) {
  std::string_view rest;
  if (count != 0 && (offset == 0 || !text_at(blob, offset, &rest))) return false;
  for (std::uint32_t i = 0; i < count; i++) {
    auto end = rest.find('\0');
    if (end == std::string_view::npos) return false;
    pointers.push_back(rest.data());
    rest.remove_prefix(end + 1);
  }
  pointers.push_back(nullptr);
  return true;
}

bool is_exec(Op op) { return op == Op::exec || op == Op::exec_fd; }

Result<> decode_step(const WireStep& w, std::string_view blob, DecodedProgram* out) {
  if (w.op >= Op::count_) return refuse("unknown op");
  if (w.slot < -1 || w.slot >= kSlots) return refuse("slot out of range");
  if (w.op == Op::open_tree_at && w.y >= kSlots) return refuse("slot out of range");
  ChildStep s{.op = w.op, .flags = w.flags, .slot = w.slot, .x = w.x, .y = w.y, .z = w.z, .w = w.w};
  if (is_exec(w.op)) {
    for (auto [offset, count] : {std::pair(w.a, w.a_count), std::pair(w.b, w.b_count), std::pair(w.c, w.c_count)})
      if (!list_at(blob, offset, count, out->pointers)) return refuse("list out of bounds");
  } else if (!ended_text(blob, w.a, &s.a, &s.a_length) || !ended_text(blob, w.b, &s.b, &s.b_length)) {
    return refuse("text out of bounds");
  }
  if (w.slot >= 0) out->uses_slot[w.slot] = true;
  if (w.op == Op::open_tree_at) out->uses_slot[w.y] = true;
  out->steps.push_back(s);
  return {};
}

// The vector of pointers has its final place only now.
void place_lists(const std::vector<WireStep>& wire, DecodedProgram* out) {
  const char* const* at = out->pointers.data();
  for (std::size_t i = 0; i < wire.size(); i++) {
    if (!is_exec(wire[i].op)) continue;
    out->steps[i].la = at;
    at += wire[i].a_count + 1;
    out->steps[i].lb = at;
    at += wire[i].b_count + 1;
    out->steps[i].lc = at;
    at += wire[i].c_count + 1;
  }
}

}  // namespace

Result<> decode_program(std::string_view bytes, DecodedProgram* out) {
  ProgramHeader header;
  if (bytes.size() < sizeof header || bytes.size() > kMaxProgram) return refuse("size");
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.remove_prefix(sizeof header);
  if (header.steps == 0 || header.steps > kMaxProgramSteps) return refuse("number of steps");
  std::size_t step_bytes = header.steps * sizeof(WireStep);
  if (bytes.size() < step_bytes || bytes.size() - step_bytes != header.blob_bytes) return refuse("size");
  std::vector<WireStep> wire(header.steps);
  std::memcpy(wire.data(), bytes.data(), step_bytes);
  bytes.remove_prefix(step_bytes);
  std::size_t entries = 0;
  for (const auto& w : wire)
    if (is_exec(w.op)) entries += std::size_t{w.a_count} + w.b_count + w.c_count + 3;
  if (entries > kMaxListEntries) return refuse("too many list entries");
  out->pointers.reserve(entries);
  out->steps.reserve(wire.size());
  for (const auto& w : wire) TRY(decode_step(w, bytes, out));
  place_lists(wire, out);
  return {};
}

}  // namespace podshim
